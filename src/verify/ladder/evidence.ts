/**
 * The contract of the validation ladder (PROTOCOLS 4): `runRung(rung, world)` in `ladder.ts` gives one `Evidence`, which the dual-write
 * workflow keeps at `evidence/<workflowUid>/<rung>` and shows. Only `pass` lets anything proceed; `unknown` (not enough to judge) never
 * does, and says what is missing (promise 6).
 */
export const rungs = ['L0', 'L1', 'L2', 'L3', 'L4', 'L5', 'L6'] as const
export type Rung = (typeof rungs)[number]

export type Verdict = 'pass' | 'fail' | 'unknown'

export const rungTitles: Readonly<Record<Rung, string>> = {
  L0: 'offset ranges chain, and their sum is end − start',
  L1: 'counts and sums of additive columns, by bucket and hash range',
  L2: 'digests of 1:1 rows, copied rows one by one',
  L3: 'quantiles of merged sketches',
  L4: 'shadow reads on both branches at aligned offsets',
  L5: 'latency and plan by query shape',
  L6: 'capacity by pause and drain',
}

/** One thing seen that is not as it should be, with coordinates. */
export type LadderFinding = { readonly what: string; readonly where: string; readonly old: string; readonly new: string }

export type Evidence = {
  readonly v: 1
  readonly rung: Rung
  readonly workflowUid: string
  /** When the comparison began, Unix ms, and how long it took. */
  readonly atMs: number
  readonly tookMs: number
  /** What it was judged under: readiness of another version is not ready (PROTOCOLS 4, Ready). */
  readonly definitionDigest: string
  readonly planVersion: number
  readonly verdict: Verdict
  /** One sentence: what was compared, and with what outcome. */
  readonly because: string
  /** Figures by name: buckets compared, rows, p95Ms, efficiency …; units in the names. */
  readonly numbers: { readonly [name: string]: number | string | null }
  /** At most 20; `numbers.findings` has how many there were. */
  readonly findings: readonly LadderFinding[]
  /** What the same rung said before, newest first, at most `earlierMax`; filled in where evidence is kept. */
  readonly earlier?: readonly EarlierEvidence[]
}

export type EarlierEvidence = Pick<Evidence, 'atMs' | 'tookMs' | 'verdict' | 'because' | 'planVersion'>

export const findingsMax = 20
const earlierMax = 50

/** Pure: a rung's new evidence, with what it said before. */
export function withEarlier(evidence: Evidence, before: Evidence | null): Evidence {
  if (before === null) return evidence
  const { atMs, tookMs, verdict, because, planVersion, earlier = [] } = before
  return { ...evidence, earlier: [{ atMs, tookMs, verdict, because, planVersion }, ...earlier].slice(0, earlierMax) }
}
