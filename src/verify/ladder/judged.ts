/** What a rung found, before it is dated and kept. */
import type { LadderFinding, Verdict } from './evidence.ts'

export type Judged = {
  readonly verdict: Verdict
  readonly because: string
  readonly numbers: { readonly [name: string]: number | string | null }
  readonly findings: readonly LadderFinding[]
}

export function judged(
  verdict: Verdict,
  because: string,
  numbers: Judged['numbers'] = {},
  findings: readonly LadderFinding[] = [],
): Judged {
  return { verdict, because, numbers, findings }
}
