# SPDX-License-Identifier: MIT
"""The SVG: one panel of bars a question, a whisker from the least to the most round, a dashed line for what is asked."""

import math
from xml.sax.saxutils import escape

from .record import DATA, LIST, spread

COLOURS = {
    'native': '#9aa0a6', 'tmpfs': '#9aa0a6', 'memory': '#7b5ea7', 'local io_uring': '#1a73e8',
    'local plain, passthrough': '#6ba6f2', 'local plain': '#a8cbf7', 'local': '#1a73e8', 'bindfs': '#e8710a',
    'bindfs, multithreaded': '#f4b67d',
}
WIDTH, LEFT, RIGHT, HEIGHT, BAND = 1200, 80, 20, 220, 110


class Panel:
    """categories across, series (contenders) beside one another in each; spreads[category][series]."""

    def __init__(self, title, categories, series, spreads, logarithmic=False, lines=None):
        self.title = title
        self.categories = categories
        self.series = series
        self.spreads = spreads
        self.logarithmic = logarithmic
        self.lines = lines or {}  # category -> bound

    def scale(self):
        """A function from value to height, and the ticks."""
        values = [item[key] for row in self.spreads.values() for item in row.values() for key in ('min', 'max')]
        values += self.lines.values()
        top = max(values)
        if self.logarithmic:
            low = math.floor(math.log10(max(min(value for value in values if value > 0), 1e-9)))
            high = math.ceil(math.log10(top)) if top > 10 ** low else low + 1
            high = max(high, low + 1)
            return (lambda value: HEIGHT * (math.log10(max(value, 10 ** low)) - low) / (high - low),
                    [10 ** power for power in range(low, high + 1)])
        step = 10 ** math.floor(math.log10(top / 2)) if top > 0 else 1
        while top / step > 8:
            step *= 2
        count = math.ceil(top / step)
        return lambda value: HEIGHT * value / (step * count), [step * i for i in range(count + 1)]

    def draw(self, out, y):
        height, ticks = self.scale()
        base = y + 40 + HEIGHT
        span = (WIDTH - LEFT - RIGHT) / len(self.categories)
        bar = min(span * 0.84 / len(self.series), 60)
        out.append(f'<text x="{LEFT}" y="{y + 18}" class="title">{escape(self.title)}</text>')
        for tick in ticks:
            line = base - height(tick)
            out.append(f'<line x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{line:.1f}" y2="{line:.1f}" class="grid"/>'
                       f'<text x="{LEFT - 6}" y="{line + 4:.1f}" class="tick">{label(tick)}</text>')
        for column, category in enumerate(self.categories):
            start = LEFT + column * span + (span - bar * len(self.series)) / 2
            out.append(f'<text x="{LEFT + (column + 0.5) * span:.1f}" y="{base + 18}" class="name">'
                       f'{escape(category)}</text>')
            for place, series in enumerate(self.series):
                item = self.spreads[category].get(series)
                if item is None:
                    continue
                x, tall = start + place * bar, height(item['median'])
                out.append(f'<rect x="{x:.1f}" y="{base - tall:.1f}" width="{bar - 1:.1f}" height="{tall:.1f}" '
                           f'fill="{COLOURS.get(series, "#555")}"><title>{escape(series)}: '
                           f'{label(item["median"])} ({label(item["min"])} .. {label(item["max"])})</title></rect>'
                           f'<line x1="{x + bar / 2:.1f}" x2="{x + bar / 2:.1f}" y1="{base - height(item["min"]):.1f}"'
                           f' y2="{base - height(item["max"]):.1f}" class="whisker"/>'
                           f'<text x="{x + bar / 2:.1f}" y="{base - max(tall, height(item["max"])) - 3:.1f}" '
                           f'class="value">{label(item["median"])}</text>')
            if category in self.lines:
                line = base - height(self.lines[category])
                out.append(f'<line x1="{LEFT + column * span:.1f}" x2="{LEFT + (column + 1) * span:.1f}" '
                           f'y1="{line:.1f}" y2="{line:.1f}" class="asked"/>')
        x = LEFT
        for series in self.series:
            out.append(f'<rect x="{x}" y="{base + 30}" width="12" height="12" fill="{COLOURS.get(series, "#555")}"/>'
                       f'<text x="{x + 17}" y="{base + 40}" class="legend">{escape(series)}</text>')
            x += 40 + 7 * len(series)


def label(value):
    for limit, suffix in ((1e6, 'M'), (1e3, 'k')):
        if value >= limit:
            return f'{value / limit:.3g}{suffix}'
    return f'{value:.3g}'


def panel_of(record, group, works, title, logarithmic=False, relative_to=None, lines=None):
    """None when nothing of it was measured."""
    series, spreads = [], {}
    for work, text in works:
        for contender in record.values.get(f'{group}/{work}', {}):
            if contender == relative_to:
                continue
            values = (record.ratios(f'{group}/{work}', contender, f'{group}/{work}', relative_to) if relative_to
                      else record.get(f'{group}/{work}', contender))
            found = spread(values)
            if found is not None and found['max'] > 0:
                spreads.setdefault(text, {})[contender] = found
                if contender not in series:
                    series.append(contender)
    categories = [text for _, text in works if text in spreads]
    if not categories:
        return None
    lines = {text: bound for text, bound in (lines or {}).items() if text in spreads}
    return Panel(title, categories, series, spreads, logarithmic, lines)


def panels(record):
    rm = sorted((work for work in record.values if work.startswith('folder/rm-')), key=lambda w: int(w[10:]))
    short = {work: text.replace('sequential ', '').replace('1 MiB ', '1M ').replace('4 KiB ', '4K ')
             .replace(' + fsync', '').replace('page cache', 'cached') for work, text, _ in DATA}
    found = [
        panel_of(record, 'data', [(work, short[work]) for work, _, _ in DATA],
                 'File data, native speed is 1; 2 threads (more is better; dashed: asked of local io_uring)',
                 relative_to='native', lines={short[work]: bound for work, _, bound in DATA}),
        panel_of(record, 'names', [(work, text.replace(' a missing name', ' missing name')) for work, text, _ in LIST],
                 'Names, 2 threads, time-outs 0 (operations a second, logarithmic; more is better)', True),
        panel_of(record, 'find', [('names', 'find, names'), ('attributes', 'find, names and attributes')],
                 'Cold find over the tree, seconds (less is better)'),
        panel_of(record, 'folder', [('list-first', 'readdir, caches dropped'), ('list', 'readdir'), ('ls', 'ls -f')],
                 'Listing one large folder, seconds (less is better)'),
        panel_of(record, 'folder', [(work[7:], f'rm -r of {int(work[10:]):,}') for work in rm],
                 'Removing one large folder, seconds (less is better)'),
        panel_of(record, 'start', [('map', 'driveway map')], 'From map to the first answer, milliseconds (less is better)'),
        panel_of(record, 'idle', [('resident', 'resident'), ('anonymous', 'anonymous'), ('file', 'file'),
                                  ('shared', 'shared')], 'Idle with one drive, resident MB (less is better)'),
    ]
    return [panel for panel in found if panel is not None]


def write_svg(path, record, heading):
    drawn = panels(record)
    tall = 60 + len(drawn) * (HEIGHT + BAND)
    out = [f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{tall}" viewBox="0 0 {WIDTH} {tall}" '
           'font-family="sans-serif">',
           '<style>.title{font-size:15px;font-weight:bold}.tick{font-size:11px;text-anchor:end;fill:#555}'
           '.name{font-size:12px;text-anchor:middle}.value{font-size:9px;text-anchor:middle;fill:#333}'
           '.legend{font-size:12px}.grid{stroke:#ddd}.whisker{stroke:#222}'
           '.asked{stroke:#c5221f;stroke-dasharray:6 4;stroke-width:1.5}</style>',
           f'<rect width="{WIDTH}" height="{tall}" fill="white"/>',
           f'<text x="{LEFT}" y="30" font-size="18">{escape(heading)}</text>']
    for index, panel in enumerate(drawn):
        panel.draw(out, 50 + index * (HEIGHT + BAND))
    out.append('</svg>')
    with open(path, 'w', encoding='utf-8') as file:
        file.write('\n'.join(out) + '\n')
