/** The oracle's table: what was asked, refused, and answered otherwise. */
import type { Found, Report } from './oracle.ts'
import { judged, share, type Tally, total } from './tally.ts'
import { ceilings, floors } from './weights.ts'

export function printReport(report: Report, show: { differences: number; refused: number }): string {
  const { options, selects, writes, tags, differences, refusals, failures } = report
  const lines: string[] = []
  const row = (name: string, t: Tally): string =>
    `  ${name.padEnd(22)}${String(t.asked).padStart(7)}${String(t.bothRefuse).padStart(8)}${String(t.refused).padStart(9)}${share(t.refused, judged(t)).padStart(9)}${String(t.wrong).padStart(7)}`
  lines.push(
    `${options.flavour}, seed ${options.seed}, ${options.count} statements, ${options.clients} client(s), ${(report.ms / 1000).toFixed(1)} s${options.reshard === true ? `, ${report.switches} switches and reversals underneath, ${report.moved} transactions rolled back by them` : ''}`,
  )
  for (const [name, tallies] of [
    ['SELECT', selects],
    ['write', writes],
  ] as const) {
    lines.push(
      '',
      `  ${name.padEnd(22)}${'asked'.padStart(7)}${'neither'.padStart(8)}${'refused'.padStart(9)}${''.padStart(9)}${'wrong'.padStart(7)}`,
    )
    for (const [category, tally] of [...tallies].sort((a, b) => b[1].refused - a[1].refused)) lines.push(row(category, tally))
    lines.push(row('all', total(tallies)))
  }
  const asked = total(selects).asked
  lines.push(
    '',
    `  of SELECTs: ${[
      ['joins', 'join'],
      ['aggregates', 'aggregate'],
      ['subqueries and CTEs', 'any-subquery'],
      ['collation-sensitive', 'collation'],
    ]
      .map(([words, tag]) => `${words} ${share(tags.get(tag as string) ?? 0, asked)}`)
      .join(', ')}`,
  )
  lines.push(
    `  differences: ${[...report.bySort].map(([what, count]) => `${what} ${count}`).join(', ') || 'none'}; wrong answers: ${report.wrong}`,
  )
  for (const [sort, { count, example }] of [...report.warnings].sort((a, b) => b[1].count - a[1].count))
    lines.push(`    ${String(count).padStart(5)} × ${sort}`, ...(show.differences > 0 ? [`            ${example.slice(-240)}`] : []))
  const shown = [...differences].sort((a, b) => rank(a) - rank(b)).slice(0, show.differences)
  for (const { sql, form, difference } of shown) lines.push('', `  ${difference.what} (${form}) ${sql}`, `  ${difference.detail}`)
  for (const [key, { count, examples }] of [...refusals].sort((a, b) => b[1].count - a[1].count).slice(0, show.refused))
    lines.push('', `  ${count} × ${key}`, ...examples.map((sql) => `      ${sql}`))
  for (const failure of failures) lines.push(`  not met: ${failure}`)
  return lines.join('\n') + '\n'
}

function rank(found: Found): number {
  return ['error', 'values', 'order', 'affected', 'names', 'types', 'metadata', 'warnings'].indexOf(found.difference.what)
}

/** What the weights ask for, and what of it has not come true. */
export function judge(report: Report): void {
  const { selects, writes, tags, failures } = report
  const all = total(selects)
  for (const [tag, floor] of Object.entries(floors)) {
    const count = tag === 'subquery' ? (tags.get('any-subquery') ?? 0) : (tags.get(tag) ?? 0)
    if (count < floor * all.asked && all.asked > 500)
      failures.push(`only ${share(count, all.asked)} of SELECTs are ${tag}, ${floor * 100} % are asked for`)
  }
  for (const [name, tally] of [...selects, ...writes])
    if (tally.refused > ceilings.category * judged(tally) && tally.asked >= 20)
      failures.push(`${name}: ${share(tally.refused, judged(tally))} refused`)
  if (all.refused > ceilings.select * judged(all)) failures.push(`SELECTs: ${share(all.refused, judged(all))} refused`)
  const w = total(writes)
  if (w.refused > ceilings.write * judged(w)) failures.push(`writes: ${share(w.refused, judged(w))} refused`)
}
