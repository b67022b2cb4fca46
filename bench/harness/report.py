# SPDX-License-Identifier: MIT
"""What is printed at the end, and the JSON."""

import json

from .record import spread


def number(value):
    if value == 0:
        return '0'
    if value >= 1000:
        return f'{value:,.0f}'
    return f'{value:.1f}' if value >= 100 else f'{value:.3g}'


def raw_tables(record):
    """One table a group: a line a work and contender, median and range."""
    lines = []
    group = None
    for work, row in record.values.items():
        if work.split('/')[0] != group:
            group = work.split('/')[0]
            lines += ['', f'{group:<50}{"median":>12}{"min":>12}{"max":>12}']
        for contender in row:
            found = spread(record.get(work, contender))
            if found is None:
                lines.append(f'  {work.split("/")[1]:<22}{contender:<26} not measured')
                continue
            lines.append(f'  {work.split("/")[1]:<22}{contender:<26}{number(found["median"]):>12}'
                         f'{number(found["min"]):>12}{number(found["max"]):>12}  {record.units[work]:<6}'
                         f' n={found["rounds"]}')
    return lines


def verdict_table(figures):
    lines = ['', f'{"figure":<62}{"asked":>12}{"reached":>12}  {"min .. max":<22}']
    for figure in figures:
        sign = '>=' if figure.at_least else '<='
        asked = f'{sign} {number(figure.bound)} {figure.unit}'.strip()
        if figure.spread is None:
            lines.append(f'{figure.name:<62}{asked:>12}{"-":>12}  {"":<22}{figure.verdict}')
            continue
        noise = f'{number(figure.spread["min"])} .. {number(figure.spread["max"])}'
        lines.append(f'{figure.name:<62}{asked:>12}{number(figure.spread["median"]):>12}  {noise:<22}'
                     f'{figure.verdict}')
    return lines


def summary(figures, quick):
    count = {}
    for figure in figures:
        count[figure.verdict] = count.get(figure.verdict, 0) + 1
    line = ', '.join(f'{count[key]} {key.lower()}' for key in ('met', 'MISSED', 'not measured') if key in count)
    return (line or 'no figures') + (' (a quick run: it shows that all runs, its figures mean nothing)' if quick else '')


def write_json(path, machine, settings, record, figures):
    with open(path, 'w', encoding='utf-8') as file:
        json.dump({'machine': machine, 'settings': settings, 'figures': [figure.as_json() for figure in figures],
                   'units': record.units, 'rounds': record.values, 'problems': record.problems}, file, indent=1)
        file.write('\n')
