"""Every line that a program logs at warning or error level is in docs/operations.md, with its level."""

import re

from stand import process

LEVELS = {"LOG_WARN": "warning", "LOG_ERROR": "error"}
TEXT = r'"(?:[^"\\]|\\.)*"'
# Where the line is not written in the call of log_write: functions that are handed it, by level (the first text of a
# call counts), and tables of lines.
HANDED_ON = {"log_failed": "error", "retry_retention": "warning", "init_task": "warning"}
TABLES = {"messages": "error"}


def arguments(text, begin):
    """Of the call whose parenthesis opens before `begin`, texts kept whole."""
    depth, parts, at = 1, [""], begin
    while depth:
        piece = re.match(TEXT + r"|.", text[at:], re.S).group(0)
        depth += {"(": 1, ")": -1}.get(piece, 0)
        if piece == "," and depth == 1:
            parts.append("")
        elif depth:
            parts[-1] += piece
        at += len(piece)
    return [part.strip() for part in parts]


def texts(code):
    """Adjacent ones are one, as for the compiler; what a macro puts behind one is left out, and so is what joins it."""
    found = ["".join(text[1:-1] for text in re.findall(TEXT, run)) for run in re.findall(rf"{TEXT}(?:\s*{TEXT})*", code)]
    return [text.rstrip("; ") for text in found]


def chosen(code, level, line):
    """Of `kind == KIND ? LOG_WARN : LOG_INFO` and `table[kind]`: the table's line of that kind."""
    asked = re.search(r"== (\w+) \? (LOG_\w+) : LOG_INFO$", level)
    table = re.fullmatch(r"(\w+)\[.*\]", line)
    assert asked and table, f"where does {line!r} come from, and its level {level!r}?"
    entry = re.search(rf"\b{table.group(1)}\[\] = \{{.*?\[{asked.group(1)}\] = ({TEXT})", code, re.S)
    return entry.group(1)[1:-1], LEVELS[asked.group(2)]


def lines_of(path):
    """(line, level) of a source."""
    code = re.sub(r"/\*.*?\*/", "", path.read_text(), flags=re.S)
    for call in re.finditer(r"\blog_write\(", code):
        level, line = arguments(code, call.end())[:2]
        if level not in LEVELS and not level.startswith("LOG_") and not texts(line):
            yield chosen(code, level, line)
        elif level not in LEVELS and not level.startswith("LOG_"):
            yield from ((text, "warning or error") for text in texts(line))
        elif level in LEVELS and texts(line):
            yield from ((text, LEVELS[level]) for text in texts(line))
        elif level in LEVELS:
            names = set(re.findall(r"\w+", line))
            assert names & {"msg", "what", "waits", *TABLES}, f"{path}: where does {line!r} come from? say so above"
    for name, level in HANDED_ON.items():
        for call in re.finditer(rf"\b{name}\(", code):
            found = [t for argument in arguments(code, call.end()) for t in texts(argument)]
            yield from ((text, level) for text in found[:1])
    for name, level in TABLES.items():
        for table in re.finditer(rf"\b{name}\[\] = \{{(.*?)\}};", code, re.S):
            yield from ((text, level) for text in texts(table.group(1)))


def lines_in_sources():
    found = {}
    for program in ("common", "producer", "consumer", "api"):
        for path in sorted((process.ROOT / program).glob("*.c")):
            for line, level in lines_of(path):
                found.setdefault((line, level), set()).add("all" if program == "common" else program)
    return {(line, level, "all" if "all" in programs else ", ".join(sorted(programs)))
            for (line, level), programs in found.items()}


def lines_in_docs():
    text = (process.ROOT / "docs" / "operations.md").read_text()
    section = text.split("## Log lines", 1)[1].split("\n## ", 1)[0]
    return {tuple(row) for row in re.findall(r"^\| `([^`]+)` \| ([a-z ]+) \| ([a-z, ]+) \|", section, re.M)}


def test_the_table_of_log_lines_is_what_programs_say():
    said, told = lines_in_sources(), lines_in_docs()
    assert len(said) > 40
    assert not said - told, "not in docs/operations.md"
    assert not told - said, "in docs/operations.md, and said by nobody"


def test_a_line_is_found_however_it_is_written(tmp_path):
    source = tmp_path / "source.c"
    source.write_text('''
        log_write(LOG_WARN, "one, of "
                            "two texts", LOG_S("a", f(b, "c")));
        log_write(LOG_ERROR, is ? "either" : "or", LOG_I("n", 1));
        /* log_write(LOG_WARN, "a comment"); */ log_write(LOG_INFO, "not this"); log_write(ours, "librdkafka");
        static const char *const messages[] = {[0] = "of a table", [1] = "and \\"another\\""};
        static const char *const said[] = {[GIVEN] = "come", [LOST] = "gone"};
        log_write(kind == LOST ? LOG_WARN : LOG_INFO, said[kind], LOG_I("n", 1));
        log_write(LOG_ERROR, messages[n]); log_failed("handed on", g()); init_task(&t, 1, "waits", "goes on");
    ''')
    assert set(lines_of(source)) == {
        ("one, of two texts", "warning"), ("either", "error"), ("or", "error"), ("librdkafka", "warning or error"),
        ("of a table", "error"), ('and \\"another\\"', "error"), ("handed on", "error"), ("waits", "warning"),
        ("gone", "warning")}
