"""Curves on two logarithmic axes as SVG, of few kilobytes, with a title and a description for those who do not see them.

*Invariant:* equal points give equal bytes. What was simulated is dashed, with hollow points.
"""
import math

WIDTH, HEIGHT, LEFT, RIGHT, TOP, BOTTOM = 780, 400, 70, 250, 40, 52
# Distinguished by those who do not tell red from green, on white and on black (Okabe and Ito).
COLOURS = ["#0072B2", "#D55E00", "#009E73", "#CC79A7"]
GREY = "#767676"


def ends(values):
    """Powers of ten around all."""
    return math.floor(math.log10(min(values)) + 1e-9), math.ceil(math.log10(max(values)) - 1e-9)


def escaped(text):
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


class Axes:
    def __init__(self, lines):
        points = [point for line in lines for point in line["points"]]
        self.x, self.y = (ends([point[axis] for point in points]) for axis in (0, 1))
        if self.x[0] == self.x[1]:
            self.x = (self.x[0], self.x[0] + 1)
        if self.y[0] == self.y[1]:
            self.y = (self.y[0], self.y[0] + 1)

    def place(self, x, y):
        across = (math.log10(x) - self.x[0]) / (self.x[1] - self.x[0])
        up = (math.log10(y) - self.y[0]) / (self.y[1] - self.y[0])
        return LEFT + across * (WIDTH - LEFT - RIGHT), HEIGHT - BOTTOM - up * (HEIGHT - TOP - BOTTOM)


def grid(axes, name_x, name_y, tell_x, tell_y):
    out = []
    right, bottom = WIDTH - RIGHT, HEIGHT - BOTTOM
    for power in range(axes.x[0], axes.x[1] + 1):
        x, _ = axes.place(10.0**power, 10.0 ** axes.y[0])
        out.append(f'<path d="M{x:.1f} {TOP}V{bottom}" stroke="{GREY}" stroke-opacity=".25"/>')
        out.append(f'<text x="{x:.1f}" y="{bottom + 18}" text-anchor="middle">{tell_x(10.0**power)}</text>')
    for power in range(axes.y[0], axes.y[1] + 1):
        _, y = axes.place(10.0 ** axes.x[0], 10.0**power)
        out.append(f'<path d="M{LEFT} {y:.1f}H{right}" stroke="{GREY}" stroke-opacity=".25"/>')
        out.append(f'<text x="{LEFT - 8}" y="{y + 4:.1f}" text-anchor="end">{tell_y(10.0**power)}</text>')
    out.append(f'<text x="{(LEFT + right) / 2:.0f}" y="{HEIGHT - 10}" text-anchor="middle">{escaped(name_x)}</text>')
    out.append(f'<text x="{LEFT - 58}" y="{TOP - 14}">{escaped(name_y)}</text>')
    return out


def curve(axes, line, colour):
    """Its parts, and where its last point is."""
    places = [axes.place(x, y) for x, y in line["points"]]
    dash = ' stroke-dasharray="5 4"' if line["simulated"] else ""
    path = "M" + "L".join(f"{x:.1f} {y:.1f}" for x, y in places)
    fill = "none" if line["simulated"] else colour
    out = [f'<path d="{path}" fill="none" stroke="{colour}" stroke-width="2"{dash}/>']
    out += [f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3.5" fill="{fill}" stroke="{colour}"/>' for x, y in places]
    return out, places[-1]


def seconds(value):
    for unit, size in (("s", 1.0), ("ms", 1e-3), ("µs", 1e-6), ("ns", 1e-9)):
        if value >= size * 0.999:
            return f"{value / size:.0f} {unit}"
    return f"{value:g} s"


def amount(value):
    for unit, size in (("G", 1e9), ("M", 1e6), ("k", 1e3)):
        if value >= size * 0.999:
            return f"{value / size:.0f} {unit}"
    return f"{value:g}"


def draw(title, described, lines, name_x, name_y="seconds"):
    """`lines`: each with a name, points (x, seconds) and whether it was simulated."""
    axes = Axes(lines)
    out = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" role="img" font-family="sans-serif" font-size="12">',
        f"<title>{escaped(title)}</title><desc>{escaped(described)}</desc>",
        f'<rect width="{WIDTH}" height="{HEIGHT}" fill="#fff"/>',
        *grid(axes, name_x, name_y, amount, seconds),
    ]
    colours, labels = {}, []
    for line in lines:
        colour = colours.setdefault(line["name"], COLOURS[len(colours) % len(COLOURS)])
        parts, (_, y) = curve(axes, line, colour)
        out += parts
        labels.append([y, line["name"] + (" (simulated)" if line["simulated"] else ""), colour])
    labels.sort()
    for n, label in enumerate(labels):
        if n and label[0] < labels[n - 1][0] + 15:
            label[0] = labels[n - 1][0] + 15
    out += [f'<text x="{WIDTH - RIGHT + 10}" y="{y + 4:.1f}" fill="{colour}">{escaped(name)}</text>' for y, name, colour in labels]
    return "\n".join(out) + "\n</svg>\n"
