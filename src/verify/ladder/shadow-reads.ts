/**
 * L4: the same reads on both branches while both stand at one offset vector. Each is asked of the old branch, of the new, and of the old again:
 * where the old does not even agree with itself, a read says nothing (the noise floor). One read that differs otherwise fails the rung, with purge at rest.
 */
import type { Connection } from '../../mysql/connection.ts'
import { withAligned } from './align.ts'
import type { LadderFinding } from './evidence.ts'
import { judged } from './judged.ts'
import type { Judged } from './judged.ts'
import { purgeAtRest, withFloorsHeld } from './purge-hold.ts'
import { ask, branchSession, readSamples } from './replay.ts'
import type { Answer, Sample } from './replay.ts'
import type { LadderWorld } from './world.ts'

type Asked = { readonly sample: Sample; readonly old: Answer; readonly fresh: Answer; readonly again: Answer }

/** A purge that is under way may have much to take away. */
const restMsMax = 90_000
const restEveryMs = 250

export async function judgeShadowReads(world: LadderWorld): Promise<Judged> {
  const { gate } = world
  if (gate === null) return judged('unknown', 'no gate is there to read through')
  const { samples, skipped } = await readSamples(world)
  if (samples.length === 0)
    return judged('unknown', `gates have sampled no reads of ${world.old.keyspace} that can be replayed`, { reads: 0, skipped })
  const before = await branchSession(gate, world.old.keyspace, 'main', world.signal)
  try {
    const after = await branchSession(gate, world.old.keyspace, world.new.branch, world.signal)
    try {
      return await judgeReads(world, async () => {
        const aligned = await withAligned(world, () => askAll(world, samples, before, after))
        if (!aligned.ok) return judged('unknown', aligned.because, { reads: 0, skipped })
        return judgeAnswers(aligned.value, { skipped, alignMs: Math.round(aligned.alignMs) })
      })
    } finally {
      after.destroy()
    }
  } finally {
    before.destroy()
  }
}

/**
 * Where answers differ the reads are made again with purge at rest (purge-hold.ts), for rows may have been gone on one branch only; what differs then fails.
 * `readBoth` asks all reads of both branches at one vector.
 */
export async function judgeReads(world: LadderWorld, readBoth: () => Promise<Judged>): Promise<Judged> {
  const { clock, signal } = world
  const first = await readBoth()
  if (first.verdict !== 'fail') return first
  const endMs = clock.monotonicMs() + restMsMax
  return withFloorsHeld(world, async () => {
    for (;;) {
      const before = await purgeAtRest(world)
      let because = before.ok ? 'rows were purged meanwhile' : before.because
      if (before.ok) {
        const again = await readBoth()
        if (again.verdict !== 'fail') return again
        const after = await purgeAtRest(world)
        if (after.ok && after.floors === before.floors) return again
        if (!after.ok) because = after.because
      }
      if (clock.monotonicMs() >= endMs)
        return judged('unknown', `${first.because}, but ${because}: nothing can be said of them`, first.numbers)
      await clock.sleep(restEveryMs, signal)
    }
  })
}

async function askAll(world: LadderWorld, samples: readonly Sample[], before: Connection, after: Connection): Promise<Asked[]> {
  const now = (): number => world.clock.monotonicMs()
  const answers: Asked[] = []
  const endMs = now() + world.options.alignMsMax
  for (const sample of samples) {
    world.signal.throwIfAborted()
    if (now() > endMs) break
    const old = await ask(before, sample.sql, now)
    const fresh = await ask(after, sample.sql, now)
    answers.push({ sample, old, fresh, again: await ask(before, sample.sql, now) })
  }
  return answers
}

export function judgeAnswers(
  answers: readonly (Omit<Asked, 'sample'> & { readonly sample: Pick<Sample, 'sql' | 'keyspaceId'> })[],
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
