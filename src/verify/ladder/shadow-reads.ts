/**
 * L4: the same reads on both branches while both stand at one offset vector. Each is asked of the old branch, of the new, and of the old again:
 * where the old does not even agree with itself, a read says nothing (the noise floor). One read that differs otherwise fails the rung.
 */
import { withAligned } from './align.ts'
import type { LadderFinding } from './evidence.ts'
import { judged } from './judged.ts'
import type { Judged } from './judged.ts'
import { ask, branchSession, readSamples } from './replay.ts'
import type { Answer, Sample } from './replay.ts'
import type { LadderWorld } from './world.ts'

export async function judgeShadowReads(world: LadderWorld): Promise<Judged> {
  const { gate, clock } = world
  if (gate === null) return judged('unknown', 'no gate is there to read through')
  const { samples, skipped } = await readSamples(world)
  if (samples.length === 0)
    return judged('unknown', `gates have sampled no reads of ${world.old.keyspace} that can be replayed`, { reads: 0, skipped })
  const now = (): number => clock.monotonicMs()
  const before = await branchSession(gate, world.old.keyspace, 'main', world.signal)
  try {
    const after = await branchSession(gate, world.old.keyspace, world.new.branch, world.signal)
    try {
      const aligned = await withAligned(world, async () => {
        const answers: { sample: Sample; old: Answer; fresh: Answer; again: Answer }[] = []
        const endMs = now() + world.options.alignMsMax
        for (const sample of samples) {
          world.signal.throwIfAborted()
          if (now() > endMs) break
          answers.push({
            sample,
            old: await ask(before, sample.sql, now),
            fresh: await ask(after, sample.sql, now),
            again: await ask(before, sample.sql, now),
          })
        }
        return answers
      })
      if (!aligned.ok) return judged('unknown', aligned.because, { reads: 0, skipped })
      return judgeAnswers(aligned.value, { skipped, alignMs: Math.round(aligned.alignMs) })
    } finally {
      after.destroy()
    }
  } finally {
    before.destroy()
  }
}

export function judgeAnswers(
  answers: readonly { sample: Pick<Sample, 'sql' | 'keyspaceId'>; old: Answer; fresh: Answer; again: Answer }[],
  more: { readonly [name: string]: number },
): Judged {
  const findings: LadderFinding[] = []
  let noise = 0
  let failing = 0
  let compared = 0
  let rows = 0
  for (const { sample, old, fresh, again } of answers) {
    if (old.ok !== again.ok || old.text !== again.text) {
      noise++
      continue
    }
    if (!old.ok) {
      // Wrong on the old branch too: says nothing of the new one, unless that answers otherwise.
      failing++
      continue
    }
    compared++
    rows += old.rows
    if (!fresh.ok || fresh.text !== old.text)
      findings.push({
        what: fresh.ok ? 'another answer' : 'an error',
        where: `${sample.sql.slice(0, 300)}${sample.keyspaceId === null ? '' : ` [${sample.keyspaceId}]`}`,
        old: old.text.slice(0, 200),
        new: fresh.text.slice(0, 200),
      })
  }
  const numbers = { reads: compared, rows, mismatches: findings.length, noise, failingOnOld: failing, findings: findings.length, ...more }
  if (findings.length > 0)
    return judged('fail', `${findings.length} of ${compared} reads answer otherwise on the new branch`, numbers, findings)
  if (compared === 0) return judged('unknown', 'no read could be compared', numbers)
  if (noise > compared)
    return judged('unknown', `the old branch does not agree with itself on ${noise} reads; ${compared} are left`, numbers)
  return judged('pass', `${compared} reads (${rows} rows) answer alike at one offset vector; noise floor ${noise}`, numbers)
}
