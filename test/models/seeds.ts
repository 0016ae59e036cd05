/**
 * How the models are run: `SEEDS` runs of the rule as designed must all be right; with one rule taken out, a wrong one must
 * be found, or the rule (or the model) is not worth having. SEEDS=100000 runs more; FIRST=n begins at seed n.
 */
import assert from 'node:assert/strict'

const first = Number(process.env['FIRST'] ?? 1)

/** What is wrong, or `null`. `trace`, when given, is told what happens. */
export type Run = (seed: number, trace?: (line: string) => void) => string | null

export function seedCount(usual: number): number {
  return Number(process.env['SEEDS'] ?? usual)
}

/** Fails with the seed, what is wrong and the end of the story when any of the runs is. */
export function assertAllRight(run: Run, usual: number): void {
  const count = seedCount(usual)
  const wrong = firstWrong(run, count)
  if (wrong === null) return console.log(`  seeds ${first} to ${first + count - 1}: nothing wrong`)
  const story: string[] = []
  run(wrong.seed, (line) => story.push(line))
  failAt(wrong, story)
}

/** As `assertAllRight`, of runs that wait: each keeps its story as it goes, and none is run twice. */
export async function assertEachRight(
  run: (seed: number, say: (line: string) => void) => Promise<string | null>,
  usual: number,
): Promise<void> {
  const count = seedCount(usual)
  for (let seed = first; seed < first + count; seed++) {
    const story: string[] = []
    const what = await run(seed, (line) => story.push(line))
    if (what !== null) failAt({ seed, what }, story)
  }
  console.log(`  seeds ${first} to ${first + count - 1}: nothing wrong`)
}

function failAt({ seed, what }: { seed: number; what: string }, story: readonly string[]): never {
  assert.fail([`seed ${seed}: ${what} (again: FIRST=${seed} SEEDS=1)`, ...story.slice(-60)].join('\n  '))
}

/** Fails when none of the runs is wrong; stops at the first that is. Returns what that one met. */
export function assertFound(run: Run, limit: number): string {
  const wrong = firstWrong(run, limit)
  assert.ok(wrong !== null, `nothing wrong in ${limit} seeds`)
  console.log(`  seed ${wrong.seed}: ${wrong.what.slice(0, 160)}`)
  return wrong.what
}

function firstWrong(run: Run, count: number): { seed: number; what: string } | null {
  for (let seed = first; seed < first + count; seed++) {
    const what = run(seed)
    if (what !== null) return { seed, what }
  }
  return null
}
