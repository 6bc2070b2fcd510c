#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/settings.h"

#define ARGS_MAX 12

struct made {
    int64_t batch_rows;
    bool once;
    bool verify;
    char *config;
    char *dsn;
    char *location;
    int level;
    struct setting_pairs properties;
    struct setting_pairs hidden;
    bool help;
};

static const char *const levels[] = {"debug", "info", "warning", NULL};

static const struct setting settings[] = {
    {"batch-rows", "T_BATCH_ROWS", NULL, SETTING_INT, 0, offsetof(struct made, batch_rows), "5000",
     1, 100000, NULL, "N", "rows in a batch"},
    {"once", "T_ONCE", NULL, SETTING_BOOL, 0, offsetof(struct made, once), NULL, 0, 0, NULL, NULL,
     "check every site once, print a line each, and end with a code that says whether all of them "
     "were up at that time"},
    {"verify", NULL, NULL, SETTING_BOOL, 0, offsetof(struct made, verify), "true", 0, 0, NULL, NULL,
     "verify"},
    {"config", "T_CONFIG", NULL, SETTING_TEXT, 0, offsetof(struct made, config), NULL, 0, 0, NULL,
     "FILE", "read settings from a file"},
    {"postgres-dsn", "T_DSN", "T_DSN_OLD", SETTING_TEXT, SETTING_SECRET, offsetof(struct made, dsn),
     "postgres://hidden", 0, 0, NULL, "DSN", "the database"},
    {"location", "T_LOCATION", "T_PLACE", SETTING_TEXT, 0, offsetof(struct made, location), "local",
     0, 0, NULL, "NAME", "name of this location"},
    {"log-level", "T_LOG_LEVEL", NULL, SETTING_CHOICE, 0, offsetof(struct made, level), "info", 0,
     0, levels, "LEVEL", "what is logged"},
    {"kafka-properties", "T_PROPERTIES", NULL, SETTING_PAIRS, 0, offsetof(struct made, properties),
     NULL, 0, 0, NULL, "A=B;C=D", "any librdkafka property"},
    {"hidden-properties", "T_HIDDEN", NULL, SETTING_PAIRS, SETTING_SECRET,
     offsetof(struct made, hidden), NULL, 0, 0, NULL, "A=B", ".secret \\properties"},
    {"help", NULL, NULL, SETTING_BOOL, SETTING_FLAG_ONLY, offsetof(struct made, help), NULL, 0, 0,
     NULL, NULL, "print this text"},
};

static const struct settings_table table = {
    .program = "tester",
    .usage = "[FLAGS] [OPERAND]...",
    .purpose = "Tests settings.",
    .settings = settings,
    .count = sizeof(settings) / sizeof(settings[0]),
};

static const char *const variables[] = {
    "T_BATCH_ROWS",  "T_ONCE",       "T_CONFIG", "T_DSN",       "T_DSN_OLD",
    "T_DSN_FILE",    "T_LOCATION",   "T_PLACE",  "T_LOG_LEVEL", "T_HIDDEN",
    "T_HIDDEN_FILE", "T_PROPERTIES", "T_HELP",   "T_VERIFY",
};

static char dir[] = "/tmp/settings_test.XXXXXX";
static const char *operands[ARGS_MAX];
static size_t operand_count;

static int make_dir(void **state)
{
    (void)state;
    return mkdtemp(dir) == NULL ? -1 : chdir(dir);
}

static int remove_dir(void **state)
{
    (void)state;
    unlink("t.conf");
    unlink("secret");
    rmdir("folder");
    return chdir("/") != 0 || rmdir(dir) != 0 ? -1 : 0;
}

static int clear_environment(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(variables) / sizeof(variables[0]); i++) {
        unsetenv(variables[i]);
    }
    return 0;
}

static void write_file(const char *name, const char *text, size_t len)
{
    FILE *file = fopen(name, "w");

    assert_non_null(file);
    assert_int_equal(fwrite(text, 1, len, file), len);
    fclose(file);
}

static int load(struct made *into, const char *const *args, struct err *err)
{
    char *argv[ARGS_MAX + 2] = {(char *)(uintptr_t) "tester"};
    int argc = 1;

    for (; args != NULL && argc <= ARGS_MAX && args[argc - 1] != NULL; argc++) {
        argv[argc] = (char *)(uintptr_t)args[argc - 1];
    }
    *into = (struct made){0};
    return settings_load(into, &table, argc, argv, operands, &operand_count, err);
}

struct refused {
    const char *name;
    const char *args[ARGS_MAX];
    const char *variable, *value;
    const char *file; /* text of t.conf */
    const char *message;
};

static const struct refused refused[] = {
    {"a misspelt flag is answered with the right one",
     {"--batch-row", "1"},
     NULL,
     NULL,
     NULL,
     "no such flag: --batch-row (did you mean --batch-rows?)"},
    {"a misspelt flag with a value is named alone",
     {"--locatoin=x"},
     NULL,
     NULL,
     NULL,
     "no such flag: --locatoin (did you mean --location?)"},
    {"a flag that is like nothing points to --help",
     {"--zzzzzzzz"},
     NULL,
     NULL,
     NULL,
     "no such flag: --zzzzzzzz (--help lists them)"},
    {"an empty name of a flag", {"--=1"}, NULL, NULL, NULL, "no such flag: -- (--help lists them)"},
    {"a single dash", {"-v"}, NULL, NULL, NULL, "no such flag: -v (flags begin with --)"},
    {"a flag without its value",
     {"--batch-rows"},
     NULL,
     NULL,
     NULL,
     "flag --batch-rows wants a value: --batch-rows N"},
    {"an empty text as a flag",
     {"--location="},
     NULL,
     NULL,
     NULL,
     "flag --location: is empty, want NAME or leave it out"},
    {"an empty word after a flag",
     {"--location", ""},
     NULL,
     NULL,
     NULL,
     "flag --location: is empty, want NAME or leave it out"},
    {"an empty secret does not say more",
     {"--postgres-dsn="},
     NULL,
     NULL,
     NULL,
     "flag --postgres-dsn: is empty, want DSN or leave it out"},
    {"an empty text in a file",
     {"--config=t.conf"},
     NULL,
     NULL,
     "location = \"\";",
     "t.conf:1: location: is empty, want NAME or leave it out"},
    {"a number with letters",
     {"--batch-rows", "5x"},
     NULL,
     NULL,
     NULL,
     "flag --batch-rows: '5x' is not a whole number in 1..100000"},
    {"a number with a fraction",
     {"--batch-rows=1.5"},
     NULL,
     NULL,
     NULL,
     "flag --batch-rows: '1.5' is not a whole number in 1..100000"},
    {"a number with a space before it",
     {"--batch-rows= 5"},
     NULL,
     NULL,
     NULL,
     "flag --batch-rows: ' 5' is not a whole number in 1..100000"},
    {"an empty number",
     {"--batch-rows="},
     NULL,
     NULL,
     NULL,
     "flag --batch-rows: '' is not a whole number in 1..100000"},
    {"a number of more than 64 bits",
     {"--batch-rows=9223372036854775808"},
     NULL,
     NULL,
     NULL,
     "flag --batch-rows: '9223372036854775808' is not a whole number in 1..100000"},
    {"a number below the range",
     {"--batch-rows=0"},
     NULL,
     NULL,
     NULL,
     "flag --batch-rows: 0 is not in 1..100000"},
    {"a number above the range",
     {"--batch-rows=100001"},
     NULL,
     NULL,
     NULL,
     "flag --batch-rows: 100001 is not in 1..100000"},
    {"a negative number",
     {"--batch-rows", "-1"},
     NULL,
     NULL,
     NULL,
     "flag --batch-rows: -1 is not in 1..100000"},
    {"a bool that is neither",
     {"--once=maybe"},
     NULL,
     NULL,
     NULL,
     "flag --once: 'maybe' is not true or false"},
    {"a choice that is none",
     {"--log-level", "loud"},
     NULL,
     NULL,
     NULL,
     "flag --log-level: 'loud' is not one of debug, info, warning"},
    {"a pair without =",
     {"--kafka-properties", "a=b;c"},
     NULL,
     NULL,
     NULL,
     "flag --kafka-properties: 'c' is not NAME=VALUE"},
    {"a pair without a name",
     {"--kafka-properties", " =b"},
     NULL,
     NULL,
     NULL,
     "flag --kafka-properties: '=b' is not NAME=VALUE"},
    {"a secret pair that is wrong is not shown",
     {"--hidden-properties", "hunter2"},
     NULL,
     NULL,
     NULL,
     "flag --hidden-properties: its value is not NAME=VALUE"},
    {"a wrong number in the environment",
     {NULL},
     "T_BATCH_ROWS",
     "many",
     NULL,
     "environment variable T_BATCH_ROWS: 'many' is not a whole number in 1..100000"},
    {"a missing file of a secret",
     {NULL},
     "T_DSN_FILE",
     "/nowhere/dsn",
     NULL,
     "environment variable T_DSN_FILE: /nowhere/dsn: No such file or directory"},
    {"a secret in a folder's place",
     {NULL},
     "T_DSN_FILE",
     "folder",
     NULL,
     "environment variable T_DSN_FILE: folder: Is a directory"},
    {"a file that is missing",
     {"--config", "none.conf"},
     NULL,
     NULL,
     NULL,
     "none.conf: No such file or directory"},
    {"a file that is a folder",
     {"--config", "folder"},
     NULL,
     NULL,
     NULL,
     "folder: is not a regular file"},
    {"a misspelt name in a file",
     {NULL},
     NULL,
     NULL,
     "\nbatch_rowz = 5;\n",
     "t.conf:2: no such setting: batch_rowz (did you mean batch_rows?)"},
    {"a name in a file that is like nothing",
     {NULL},
     NULL,
     NULL,
     "qqqqqqq = 5;",
     "t.conf:1: no such setting: qqqqqqq (--help lists them, in a file with _ for -)"},
    {"the flag's spelling in a file",
     {NULL},
     NULL,
     NULL,
     "batch-rows = 5;",
     "t.conf:1: no such setting: batch-rows (did you mean batch_rows?)"},
    {"a setting that is a flag alone",
     {NULL},
     NULL,
     NULL,
     "help = true;",
     "t.conf:1: no such setting: help (--help lists them, in a file with _ for -)"},
    {"a number as a string in a file",
     {NULL},
     NULL,
     NULL,
     "batch_rows = \"5\";",
     "t.conf:1: batch_rows: want a whole number, this is a string"},
    {"a number with a fraction in a file",
     {NULL},
     NULL,
     NULL,
     "batch_rows = 5.5;",
     "t.conf:1: batch_rows: want a whole number, this is a number with a fraction"},
    {"a number of 33 bits in a file",
     {NULL},
     NULL,
     NULL,
     "batch_rows = 4294967301;",
     "t.conf:1: the number 4294967301 is too large; end it with an L (64 bits)"},
    {"a number out of range in a file",
     {NULL},
     NULL,
     NULL,
     "batch_rows = 4294967301L;",
     "t.conf:1: batch_rows: 4294967301 is not in 1..100000"},
    {"a bool as a number in a file",
     {NULL},
     NULL,
     NULL,
     "once = 1;",
     "t.conf:1: once: want true or false, this is a whole number"},
    {"a text as a group in a file",
     {NULL},
     NULL,
     NULL,
     "location = { };",
     "t.conf:1: location: want a string, this is a group { }"},
    {"a choice as a bool in a file",
     {NULL},
     NULL,
     NULL,
     "log_level = true;",
     "t.conf:1: log_level: want a string, this is a bool"},
    {"a wrong choice in a file",
     {NULL},
     NULL,
     NULL,
     "log_level = \"loud\";",
     "t.conf:1: log_level: 'loud' is not one of debug, info, warning"},
    {"pairs as a number in a file",
     {NULL},
     NULL,
     NULL,
     "kafka_properties = 4;",
     "t.conf:1: kafka_properties: want a list of strings \"NAME=VALUE\", this is a whole number"},
    {"a pair that is a list in a file",
     {NULL},
     NULL,
     NULL,
     "kafka_properties = (\"a=b\", ( ) );",
     "t.conf:1: kafka_properties: want strings \"NAME=VALUE\", this is a list ( )"},
    {"a pair that is an array in a file",
     {NULL},
     NULL,
     NULL,
     "kafka_properties = ( [ ] );",
     "t.conf:1: kafka_properties: want strings \"NAME=VALUE\", this is an array [ ]"},
    {"a pair in a file without =",
     {NULL},
     NULL,
     NULL,
     "kafka_properties = [\"a=b\", \"c\"];",
     "t.conf:1: kafka_properties: 'c' is not NAME=VALUE"},
    {"a file that is not libconfig",
     {NULL},
     NULL,
     NULL,
     "a = ;",
     "t.conf:1: syntax error: look here and on the line before for a missing ; , = or bracket, or "
     "a , too many"},
};

static void refuses(void **state)
{
    (void)state;
    mkdir("folder", 0755);
    for (size_t i = 0; i < sizeof(refused) / sizeof(refused[0]); i++) {
        const struct refused *row = &refused[i];
        const char *from_file[] = {"--config=t.conf", NULL};
        struct made made;
        struct err err = {0};

        clear_environment(NULL);
        if (row->variable != NULL) {
            setenv(row->variable, row->value, 1);
        }
        if (row->file != NULL) {
            write_file("t.conf", row->file, strlen(row->file));
        }
        int rc = load(&made, row->file != NULL ? from_file : row->args, &err);

        settings_free(&made, &table);
        if (rc != -1 || strcmp(err.message, row->message) != 0 || err.kind != ERR_INVALID) {
            fail_msg("%s: got %d '%s'", row->name, rc, err.message);
        }
    }
}

static void takes_defaults_when_nothing_is_given(void **state)
{
    struct made made;
    struct err err;

    (void)state;
    setenv("T_LOCATION", "", 1); /* set but empty counts as not set */
    assert_int_equal(load(&made, NULL, &err), 0);
    assert_int_equal(made.batch_rows, 5000);
    assert_false(made.once);
    assert_true(made.verify);
    assert_null(made.config);
    assert_string_equal(made.location, "local");
    assert_int_equal(made.level, 1);
    assert_int_equal(made.properties.count, 0);
    assert_int_equal(operand_count, 0);
    settings_free(&made, &table);
    assert_null(made.location);
}

static void a_later_source_wins(void **state)
{
    static const char text[] =
        "batch_rows = 2; location = \"file\"; log_level = \"DEBUG\";"
        "once = true; verify = false; kafka_properties = [\"a=1;2\", \"b = =x\"];";
    const char *args[] = {
        "--config", "t.conf", "--batch-rows=4", "one", "--batch-rows", "5", "--once=no",
        "-",        "--",     "--batch-rows=6", NULL};
    struct made made;
    struct err err;

    (void)state;
    write_file("t.conf", text, strlen(text));
    setenv("T_BATCH_ROWS", "3", 1);
    setenv("T_PLACE", "environment", 1);
    assert_int_equal(load(&made, args, &err), 0);
    assert_int_equal(made.batch_rows, 5);
    assert_false(made.once);
    assert_false(made.verify);
    assert_string_equal(made.location, "environment");
    assert_int_equal(made.level, 0);
    assert_int_equal(made.properties.count, 2);
    assert_string_equal(made.properties.names[0], "a");
    assert_string_equal(made.properties.values[0], "1;2");
    assert_string_equal(made.properties.names[1], "b");
    assert_string_equal(made.properties.values[1], " =x");
    assert_int_equal(operand_count, 3);
    assert_string_equal(operands[0], "one");
    assert_string_equal(operands[1], "-");
    assert_string_equal(operands[2], "--batch-rows=6");
    settings_free(&made, &table);
}

static void the_file_may_be_named_by_the_environment(void **state)
{
    struct made made;
    struct err err;

    (void)state;
    write_file("t.conf", "kafka_properties = \"a=b;;c=d\";", 30);
    setenv("T_CONFIG", "t.conf", 1);
    assert_int_equal(load(&made, NULL, &err), 0);
    assert_int_equal(made.properties.count, 2);
    settings_free(&made, &table);
}

static void pairs_of_a_later_source_replace_all(void **state)
{
    const char *args[] = {"--kafka-properties", " ; a=b=c ;;x.y = 1;", NULL};
    struct made made;
    struct err err;

    (void)state;
    setenv("T_PROPERTIES", "q=1;r=2;s=3", 1);
    assert_int_equal(load(&made, args, &err), 0);
    assert_int_equal(made.properties.count, 2);
    assert_string_equal(made.properties.names[0], "a");
    assert_string_equal(made.properties.values[0], "b=c ");
    assert_string_equal(made.properties.names[1], "x.y");
    assert_string_equal(made.properties.values[1], " 1");
    settings_free(&made, &table);
}

static void a_secret_comes_from_a_file(void **state)
{
    static const struct {
        const char *name, *text, *value;
    } rows[] = {
        {"one newline is taken off", "pa ss\n", "pa ss"},
        {"only one newline is taken off", "pass\n\n", "pass\n"},
        {"a newline of another system is taken off", "pass\r\n", "pass"},
        {"no newline", "pass", "pass"},
        {"a space alone", " ", " "},
    };
    struct made made;
    struct err err;

    (void)state;
    setenv("T_DSN_FILE", "secret", 1);
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        write_file("secret", rows[i].text, strlen(rows[i].text));
        assert_int_equal(load(&made, NULL, &err), 0);
        if (strcmp(made.dsn, rows[i].value) != 0) {
            fail_msg("%s: got '%s'", rows[i].name, made.dsn);
        }
        settings_free(&made, &table);
    }
}

static void the_last_of_two_flags_counts(void **state)
{
    const char *const args[] = {"--location=a", "--once", "--location", "b", "--once=no", NULL};
    struct made made;
    struct err err;

    (void)state;
    assert_int_equal(load(&made, args, &err), 0);
    assert_string_equal(made.location, "b");
    assert_false(made.once);
    settings_free(&made, &table);
}

static void a_bool_that_may_be_left_out_tells_no_from_nothing(void **state)
{
    static const struct setting maybe = {
        .name = "eager", .env = "T_VERIFY", .type = SETTING_MAYBE, .help = "begin at once"};
    static const struct settings_table one = {.program = "tester", .settings = &maybe, .count = 1};
    const struct {
        const char *flag, *variable;
        int value;
    } rows[] = {
        {NULL, NULL, MAYBE_NOT_GIVEN}, {NULL, "", MAYBE_NOT_GIVEN},  {NULL, "no", MAYBE_NO},
        {NULL, "1", MAYBE_YES},        {"--eager", "no", MAYBE_YES}, {"--eager=off", "1", MAYBE_NO},
    };
    struct err err;

    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        char *argv[] = {(char *)(uintptr_t) "tester", (char *)(uintptr_t)rows[i].flag, NULL};
        int value = MAYBE_NOT_GIVEN;

        clear_environment(state);
        if (rows[i].variable != NULL) {
            setenv("T_VERIFY", rows[i].variable, 1);
        }
        assert_int_equal(settings_load(&value, &one, rows[i].flag == NULL ? 1 : 2, argv, operands,
                                       &operand_count, &err),
                         0);
        assert_int_equal(value, rows[i].value);
    }
}

static void a_secret_from_two_places_is_refused(void **state)
{
    struct made made;
    struct err err;

    (void)state;
    write_file("secret", "x", 1);
    setenv("T_DSN_FILE", "secret", 1);
    setenv("T_DSN_OLD", "y", 1);
    assert_int_equal(load(&made, NULL, &err), -1);
    settings_free(&made, &table);
    assert_string_equal(err.message,
                        "environment: both T_DSN_OLD and T_DSN_FILE are set, unset one");
    setenv("T_DSN", "y", 1);
    assert_int_equal(load(&made, NULL, &err), -1);
    settings_free(&made, &table);
    assert_string_equal(err.message, "environment: both T_DSN and T_DSN_FILE are set, unset one");
}

static void a_secret_file_must_be_short_text(void **state)
{
    char *large = malloc(SETTINGS_TEXT_BYTES_MAX + 1);
    struct made made;
    struct err err;

    (void)state;
    write_file("secret", "\n", 1);
    setenv("T_DSN_FILE", "secret", 1);
    assert_int_equal(load(&made, NULL, &err), -1);
    settings_free(&made, &table);
    assert_string_equal(err.message, "environment variable T_DSN_FILE (secret): is empty, want DSN "
                                     "or leave it out");
    write_file("secret", "a\0b", 3);
    assert_int_equal(load(&made, NULL, &err), -1);
    settings_free(&made, &table);
    assert_string_equal(err.message, "environment variable T_DSN_FILE: secret: holds a NUL byte, "
                                     "want one line of text");
    memset(large, 'x', SETTINGS_TEXT_BYTES_MAX + 1);
    write_file("secret", large, SETTINGS_TEXT_BYTES_MAX + 1);
    assert_int_equal(load(&made, NULL, &err), -1);
    settings_free(&made, &table);
    assert_string_equal(err.message,
                        "environment variable T_DSN_FILE: secret: larger than 65536 bytes");
    write_file("secret", large, SETTINGS_TEXT_BYTES_MAX);
    assert_int_equal(load(&made, NULL, &err), 0);
    assert_int_equal(strlen(made.dsn), SETTINGS_TEXT_BYTES_MAX);
    settings_free(&made, &table);
    write_file("secret", "hunter2", 7);
    unsetenv("T_DSN_FILE");
    setenv("T_HIDDEN_FILE", "secret", 1);
    assert_int_equal(load(&made, NULL, &err), -1);
    settings_free(&made, &table);
    assert_string_equal(err.message, "environment variable T_HIDDEN_FILE (secret): its value is "
                                     "not NAME=VALUE");
    free(large);
}

static void a_value_has_a_ceiling_in_every_source(void **state)
{
    char *large = malloc(SETTINGS_TEXT_BYTES_MAX + 40);
    const char *args[] = {"--location", large, NULL};
    const char *file[] = {"--config=t.conf", NULL};
    struct made made;
    struct err err;

    (void)state;
    memset(large, 'x', SETTINGS_TEXT_BYTES_MAX + 1);
    large[SETTINGS_TEXT_BYTES_MAX + 1] = '\0';
    assert_int_equal(load(&made, args, &err), -1);
    settings_free(&made, &table);
    assert_string_equal(err.message, "flag --location: longer than 65536 bytes");
    memcpy(large, "kafka_properties=[\"", 19);
    memcpy(large + SETTINGS_TEXT_BYTES_MAX + 21, "\"];", 4);
    memset(large + 19, 'x', SETTINGS_TEXT_BYTES_MAX + 2);
    write_file("t.conf", large, strlen(large));
    assert_int_equal(load(&made, file, &err), -1);
    settings_free(&made, &table);
    assert_string_equal(err.message, "t.conf:1: kafka_properties: longer than 65536 bytes");
    free(large);
}

static void flags_alone_are_set_before_what_may_fail(void **state)
{
    const char *args[] = {"--help", "--config", "none.conf", NULL};
    struct made made;
    struct err err;

    (void)state;
    assert_int_equal(load(&made, args, &err), -1);
    assert_true(made.help);
    settings_free(&made, &table);
}

static void words_for_bools(void **state)
{
    static const struct {
        const char *text;
        bool value;
    } rows[] = {{"--once", true},     {"--once=1", true},   {"--once=YES", true},
                {"--once=on", true},  {"--once=0", false},  {"--once=False", false},
                {"--once=no", false}, {"--once=off", false}};
    struct made made;
    struct err err;

    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        const char *args[] = {rows[i].text, "false", NULL};

        assert_int_equal(load(&made, args, &err), 0);
        assert_int_equal(made.once, rows[i].value);
        assert_int_equal(operand_count, 1); /* a bool never takes the next argument */
        settings_free(&made, &table);
    }
}

static void no_table_entry_for_a_file_and_no_arguments(void **state)
{
    const struct settings_table small = {.program = "t", .settings = settings, .count = 1};
    char *argv[] = {NULL};
    struct made made = {0};
    struct err err;

    (void)state;
    assert_int_equal(settings_load(&made, &small, 0, argv, operands, &operand_count, &err), 0);
    assert_int_equal(made.batch_rows, 5000);
    settings_free(&made, &small);
}

static void a_wrong_default_is_told(void **state)
{
    const struct setting wrong = {
        "rows", NULL, NULL, SETTING_INT, 0,   offsetof(struct made, batch_rows),
        "0",    1,    2,    NULL,        "N", "rows"};
    const struct settings_table small = {.program = "t", .settings = &wrong, .count = 1};
    char *argv[] = {NULL};
    struct made made = {0};
    struct err err;

    (void)state;
    assert_int_equal(settings_load(&made, &small, 0, argv, operands, &operand_count, &err), -1);
    assert_string_equal(err.message, "built-in default of rows: 0 is not in 1..2");
    settings_free(&made, &small);
}

static char *printed(void (*print)(FILE *, const struct settings_table *))
{
    char *text = NULL;
    size_t len;
    FILE *out = open_memstream(&text, &len);

    assert_non_null(out);
    print(out, &table);
    fclose(out);
    return text;
}

static void prints_help(void **state)
{
    static const char *const parts[] = {
        "Usage: tester [FLAGS] [OPERAND]...\n\nTests settings.\n\nFlags:\n",
        "  --batch-rows N        rows in a batch (default 5000, 1..100000; env T_BATCH_ROWS)\n",
        "  --once                check every site once, print a line each, and end with a code "
        "that says\n                        whether all of them were up at that time (env "
        "T_ONCE)\n",
        "  --verify              verify (default true)\n",
        "  --config FILE         read settings from a file (env T_CONFIG)\n",
        "  --postgres-dsn DSN    the database (env T_DSN, T_DSN_OLD, T_DSN_FILE)\n",
        "  --location NAME       name of this location (default local; env T_LOCATION, T_PLACE)\n",
        "what is logged (one of debug, info, warning; default info; env T_LOG_LEVEL)\n",
        "  --kafka-properties A=B;C=D\n                        any librdkafka property",
        "  --help                print this text\n",
    };
    char *text = printed(settings_print_help);

    (void)state;
    for (size_t i = 0; i < sizeof(parts) / sizeof(parts[0]); i++) {
        if (strstr(text, parts[i]) == NULL) {
            fail_msg("no '%s' in '%s'", parts[i], text);
        }
    }
    assert_null(strstr(text, "hidden\n"));
    assert_null(strstr(text, "postgres://"));
    for (const char *line = text; *line != '\0'; line += strcspn(line, "\n") + 1) {
        assert_true(strcspn(line, "\n") <= 100);
    }
    free(text);
}

static void prints_a_man_page_section(void **state)
{
    static const char *const parts[] = {
        ".Sh OPTIONS\n.Bl -tag -width Ds\n",
        ".It Fl -batch-rows Ar N\nRows in a batch.\nDefault 5000, 1..100000.\n"
        "Environment:\n.Ev T_BATCH_ROWS .\n",
        ".It Fl -location Ar NAME\nName of this location.\nDefault local.\n"
        "Environment:\n.Ev T_LOCATION ,\n.Ev T_PLACE .\n",
        ".It Fl -postgres-dsn Ar DSN\nThe database.\nEnvironment:\n.Ev T_DSN ,\n.Ev T_DSN_OLD\n"
        "or, for the path of a file that holds the value,\n.Ev T_DSN_FILE .\n",
        ".Ev T_HIDDEN\nor, for the path",
        "\\&.secret \\eproperties.\n",
        ".It Fl -help\nPrint this text.\n.El\n",
        "One of debug, info, warning; default info.\n",
    };
    char *text = printed(settings_print_mdoc);

    (void)state;
    for (size_t i = 0; i < sizeof(parts) / sizeof(parts[0]); i++) {
        if (strstr(text, parts[i]) == NULL) {
            fail_msg("no '%s' in '%s'", parts[i], text);
        }
    }
    assert_null(strstr(text, "postgres://"));
    free(text);
}

static void prints_a_table_for_the_manual(void **state)
{
    static const char *const parts[] = {
        "| flag | environment | meaning | value |\n",
        "| `--batch-rows N` | `T_BATCH_ROWS` | rows in a batch | default 5000, 1..100000 |\n",
        "| `--location NAME` | `T_LOCATION`, `T_PLACE` | name of this location | default local |\n",
        "| `--postgres-dsn DSN` | `T_DSN`, `T_DSN_OLD`, `T_DSN_FILE` | the database |  |\n",
        "| `--hidden-properties A=B` | `T_HIDDEN`, `T_HIDDEN_FILE` | .secret \\properties |  |\n",
        "| `--help` |  | print this text |  |\n",
    };
    char *text = printed(settings_print_markdown);

    (void)state;
    for (size_t i = 0; i < sizeof(parts) / sizeof(parts[0]); i++) {
        if (strstr(text, parts[i]) == NULL) {
            fail_msg("no '%s' in '%s'", parts[i], text);
        }
    }
    assert_null(strstr(text, "postgres://"));
    free(text);
}

#define TEST(name) cmocka_unit_test_setup(name, clear_environment)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(refuses),
        TEST(takes_defaults_when_nothing_is_given),
        TEST(a_later_source_wins),
        TEST(the_file_may_be_named_by_the_environment),
        TEST(pairs_of_a_later_source_replace_all),
        TEST(a_secret_comes_from_a_file),
        TEST(the_last_of_two_flags_counts),
        TEST(a_bool_that_may_be_left_out_tells_no_from_nothing),
        TEST(a_secret_from_two_places_is_refused),
        TEST(a_secret_file_must_be_short_text),
        TEST(a_value_has_a_ceiling_in_every_source),
        TEST(flags_alone_are_set_before_what_may_fail),
        TEST(words_for_bools),
        TEST(no_table_entry_for_a_file_and_no_arguments),
        TEST(a_wrong_default_is_told),
        TEST(prints_help),
        TEST(prints_a_man_page_section),
        TEST(prints_a_table_for_the_manual),
    };

    return cmocka_run_group_tests(tests, make_dir, remove_dir);
}
