/**
 * The validation ladder (PROTOCOLS 4): `runRung` gives the evidence of one rung. It changes nothing but what it puts back: purge held while
 * snapshots stand (L1–L3), fleets held at one vector (L4) or for a drain (L6). An error of a server is `unknown`, never `fail`: the branch was not judged.
 */
import { isSwError } from '../../base/errors.ts'
import { unreachable } from '../../base/assert.ts'
import { judgeCapacity } from './capacity.ts'
import type { Evidence, Rung } from './evidence.ts'
import { findingsMax } from './evidence.ts'
import { judged } from './judged.ts'
import type { Judged } from './judged.ts'
import { judgeLatency } from './latency.ts'
import { judgeOffsets } from './offsets.ts'
import { judgeShadowReads } from './shadow-reads.ts'
import { judgeSketches } from './sketches.ts'
import { judgeDigests, judgeSums } from './sums.ts'
import type { LadderWorld } from './world.ts'

export async function runRung(rung: Rung, world: LadderWorld): Promise<Evidence> {
  const atMs = world.clock.nowMs()
  const sinceMs = world.clock.monotonicMs()
  const found = await judge(rung, world)
  return {
    v: 1,
    rung,
    workflowUid: world.workflowUid,
    atMs,
    tookMs: Math.round(world.clock.monotonicMs() - sinceMs),
    definitionDigest: world.definitionDigest,
    planVersion: world.planVersion,
    verdict: found.verdict,
    because: found.because,
    numbers: { findings: found.findings.length, ...found.numbers },
    findings: found.findings.slice(0, findingsMax),
  }
}

async function judge(rung: Rung, world: LadderWorld): Promise<Judged> {
  try {
    if (world.pairs.length === 0) return judged('unknown', 'no topic is read by fleets of both branches')
    return await rungOf(rung)(world)
  } catch (error) {
    if (world.signal.aborted) throw error
    world.log.warn({ error, rung }, 'the rung could not be judged')
    return judged(
      'unknown',
      isSwError(error)
        ? `${error.code} ${error.message}`
        : `could not be judged: ${error instanceof Error ? error.message : String(error)}`,
    )
  }
}

function rungOf(rung: Rung): (world: LadderWorld) => Promise<Judged> {
  switch (rung) {
    case 'L0':
      return judgeOffsets
    case 'L1':
      return judgeSums
    case 'L2':
      return judgeDigests
    case 'L3':
      return judgeSketches
    case 'L4':
      return judgeShadowReads
    case 'L5':
      return judgeLatency
    case 'L6':
      return judgeCapacity
    default:
      return unreachable(rung)
  }
}
