"""Pictures of results as SVG: bars side by side, and lines. No library: two shapes are all that is
needed, and what it writes is small enough to be kept beside the pages that show it."""

import html
import math

WIDTH, HEIGHT = 720, 400
LEFT, RIGHT, TOP, BOTTOM = 60, 40, 50, 60
COLOURS = ("#1b6ca8", "#d1495b", "#66a182", "#edae49", "#8d6a9f", "#6c757d")
STYLE = ("text{font:13px sans-serif;fill:#222}.title{font-size:16px}.small{font-size:11px}"
         ".grid{stroke:#ddd}.axis{stroke:#444}")


def text(x, y, content, anchor="middle", css=""):
    return (f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" class="{css}">'
            f"{html.escape(content)}</text>")


def line(x1, y1, x2, y2, css):
    return f'<line x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}" class="{css}"/>'


def ticks(top):
    """About five round numbers from 0 to at least `top`."""
    step = 10 ** math.floor(math.log10(top))
    step = next(step * f for f in (0.2, 0.5, 1, 2) if top / (step * f) <= 6)
    return [step * i for i in range(math.ceil(top / step) + 1)]


def frame(title, y_title, marks):
    parts = [f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}">',
             f"<style>{STYLE}</style>", '<rect width="100%" height="100%" fill="#fff"/>',
             text(LEFT, 22, title, "start", "title"), text(LEFT, 40, y_title, "start", "small")]
    for mark in marks:
        y = height_of(mark, marks)
        parts += [line(LEFT, y, WIDTH - RIGHT, y, "grid"),
                  text(LEFT - 8, y + 4, f"{mark:,g}", "end", "small")]
    return parts


def height_of(value, marks):
    return HEIGHT - BOTTOM - value / marks[-1] * (HEIGHT - TOP - BOTTOM)


def legend(names):
    """In as many lines as they take, the last at the bottom."""
    placed, x, row = [], LEFT, 0
    for name, colour in zip(names, COLOURS):
        width = 40 + 6.2 * len(name)
        if x > LEFT and x + width - 20 > WIDTH:
            x, row = LEFT, row + 1
        placed.append((x, row, name, colour))
        x += width
    parts = []
    for x, at, name, colour in placed:
        y = HEIGHT - 22 - 18 * (row - at) + (8 if row else 0)
        parts += [f'<rect x="{x:.1f}" y="{y}" width="12" height="12" fill="{colour}"/>',
                  text(x + 17, y + 10, name, "start", "small")]
    return parts


def bars(title, y_title, groups, series):
    """series: {name: [(value, low, high) or None, one a group]}; the low and high as a stroke."""
    marks = ticks(max(high for values in series.values() for _, _, high in filter(None, values)))
    parts = frame(title, y_title, marks)
    group_width = (WIDTH - LEFT - RIGHT) / len(groups)
    bar_width = group_width * 0.8 / len(series)
    for g, group in enumerate(groups):
        left = LEFT + g * group_width + group_width * 0.1
        parts.append(text(left + group_width * 0.4, HEIGHT - BOTTOM + 18, group))
        for s, values in enumerate(series.values()):
            if values[g] is None:
                continue
            value, low, high = values[g]
            x, y = left + s * bar_width, height_of(value, marks)
            middle = x + bar_width / 2
            parts += [
                f'<rect x="{x + 1:.1f}" y="{y:.1f}" width="{bar_width - 2:.1f}" '
                f'height="{HEIGHT - BOTTOM - y:.1f}" fill="{COLOURS[s]}"/>',
                line(middle, height_of(low, marks), middle, height_of(high, marks), "axis"),
                text(middle, height_of(high, marks) - 4, f"{value:,.0f}", css="small")]
    return "\n".join([*parts, *legend(series), "</svg>"]) + "\n"


def lines(title, y_title, x_title, series):
    """series: {name: [(x, y), ...]}; both axes are logarithmic, in powers of ten."""
    xs = [x for points in series.values() for x, _ in points]
    ys = [y for points in series.values() for _, y in points]
    x_low, x_high = math.floor(math.log10(min(xs))), math.ceil(math.log10(max(xs)))
    y_low, y_high = math.floor(math.log10(min(ys))), math.ceil(math.log10(max(ys)))

    def place(x, y):
        return (LEFT + (math.log10(x) - x_low) / (x_high - x_low) * (WIDTH - LEFT - RIGHT),
                HEIGHT - BOTTOM - (math.log10(y) - y_low) / (y_high - y_low)
                * (HEIGHT - TOP - BOTTOM))

    parts = frame(title, y_title, [])
    for power in range(y_low, y_high + 1):
        x, y = place(10 ** x_low, 10 ** power)
        parts += [line(x, y, WIDTH - RIGHT, y, "grid"),
                  text(x - 8, y + 4, f"{10 ** power:,g}", "end", "small")]
    for power in range(x_low, x_high + 1):
        x, y = place(10 ** power, 10 ** y_low)
        parts += [line(x, TOP, x, y, "grid"), text(x, y + 16, f"{10 ** power:,g}", css="small")]
    parts.append(text(WIDTH - RIGHT, HEIGHT - BOTTOM + 32, x_title, "end", "small"))
    for (name, points), colour in zip(series.items(), COLOURS):
        at = [place(x, y) for x, y in points]
        path = " ".join(f"{x:.1f},{y:.1f}" for x, y in at)
        parts.append(f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="2"/>')
        for (x, y), (_, value) in zip(at, points):
            parts += [f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3.5" fill="{colour}"/>',
                      text(x, y - 8, f"{value:,.0f}", css="small")]
    return "\n".join([*parts, *legend(series), "</svg>"]) + "\n"
