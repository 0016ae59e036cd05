/**
 * What a settled key says. Pure. The rows of one *place* are those that equal one of the batch's keys by the key's own collation: under a
 * case-insensitive one `a` on the source and `A` on a target are one place that differs in its key column.
 */
export type SettledRow = {
  /** The key as literals, for people and statements. */
  readonly key: string
  /** Target to which the row's own shard key routes; -1: nowhere; null: belongs on every target. */
  readonly home: number | null
  /** By column: `valueDigest` of comparison's columns; null is NULL. */
  readonly values: readonly (string | null)[]
}

export type Kind = 'missing' | 'extra' | 'misplaced' | 'different'
export type Finding = { readonly kind: Kind; readonly key: string; readonly target: number; readonly columns: readonly string[] }

/** What must be done to the targets so that they hold what they should, for one place. */
export type Amends = { readonly target: number; readonly remove: readonly string[]; readonly put: SettledRow | null }

export type Verdict = {
  findings: Finding[]
  amends: Amends[]
  /** Rests on what a source does not have of the key. */ needsAbsence: boolean
}

export function judgePlace(
  sources: readonly SettledRow[],
  targets: readonly (readonly SettledRow[])[],
  columnNames: readonly string[],
): Verdict {
  const findings: Finding[] = []
  const amends: Amends[] = []
  let needsAbsence = false
  const strays: { target: number; row: SettledRow }[] = []
  const lacking: { target: number; row: SettledRow }[] = []
  for (const [target, rows] of targets.entries()) {
    const expected = sources.filter(({ home }) => home === null || home === target)
    const unmatched = [...rows]
    const missing: SettledRow[] = []
    for (const row of expected) {
      const exact = unmatched.findIndex((other) => differing(row, other, columnNames).length === 0)
      if (exact >= 0) unmatched.splice(exact, 1)
      else missing.push(row)
    }
    for (const row of missing) {
      const other = unmatched.shift()
      if (other === undefined) lacking.push({ target, row })
      else {
        findings.push({ kind: 'different', key: row.key, target, columns: differing(row, other, columnNames) })
        amends.push({ target, remove: [other.key], put: row })
      }
    }
    for (const row of unmatched) strays.push({ target, row })
  }
  for (const { target, row } of strays) {
    needsAbsence = true
    amends.push({ target, remove: [row.key], put: null })
    const wrongShard = row.home !== null && row.home !== target
    if (!wrongShard) {
      findings.push({ kind: 'extra', key: row.key, target, columns: [] })
      continue
    }
    // One harm, one finding: a row that stands on a wrong shard is not also missing on its own.
    const own = lacking.findIndex((lack) => lack.row.home !== null)
    const moved = own < 0 ? undefined : lacking.splice(own, 1)[0]
    findings.push({ kind: 'misplaced', key: row.key, target, columns: moved === undefined ? [] : differing(moved.row, row, columnNames) })
    if (moved !== undefined) amends.push({ target: moved.target, remove: [], put: moved.row })
  }
  for (const { target, row } of lacking) {
    findings.push({ kind: 'missing', key: row.key, target, columns: [] })
    amends.push({ target, remove: [], put: row })
  }
  return { findings, amends, needsAbsence }
}

function differing(a: SettledRow, b: SettledRow, columnNames: readonly string[]): string[] {
  return columnNames.filter((_, i) => a.values[i] !== b.values[i])
}
