/** Latency and errors of clients' reads by branch, over the time between two `take`s: a bounded sample, exact counts. */
import type { BranchReads } from '../topology/dualwrite-records.ts'

const sampleMax = 4096

type Counter = { reads: number; errors: number; ms: number[]; slowestMs: number }

export class ReadFigures {
  readonly #branches = new Map<string, Counter>()

  record(branchKeyspace: string, ms: number, failed: boolean): void {
    let counter = this.#branches.get(branchKeyspace)
    if (counter === undefined) this.#branches.set(branchKeyspace, (counter = { reads: 0, errors: 0, ms: [], slowestMs: 0 }))
    if (failed) counter.errors++
    if (ms > counter.slowestMs) counter.slowestMs = ms
    // The newest: what a full ring forgets is older than what it keeps.
    if (counter.ms.length < sampleMax) counter.ms.push(ms)
    else counter.ms[counter.reads % sampleMax] = ms
    counter.reads++
  }

  take(): { [branchKeyspace: string]: BranchReads } {
    const out: { [branchKeyspace: string]: BranchReads } = {}
    for (const [name, counter] of this.#branches) {
      const sorted = Float64Array.from(counter.ms).sort()
      const at = (share: number): number => rounded(sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? 0)
      out[name] = {
        reads: counter.reads,
        errors: counter.errors,
        p50Ms: at(0.5),
        p95Ms: at(0.95),
        p99Ms: at(0.99),
        slowestMs: rounded(counter.slowestMs),
      }
    }
    this.#branches.clear()
    return out
  }
}

function rounded(ms: number): number {
  return Math.round(ms * 100) / 100
}
