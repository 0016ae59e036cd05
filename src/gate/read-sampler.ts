/**
 * A bounded sample of what clients read, for the replay of L4: at most so many a second, so many kept, so many bytes; newest kept. Literals
 * and parameters are in the text: it is what the client asked.
 */
import type { ReadSamples } from '../topology/dualwrite-records.ts'

const perSecondMax = 20
const keptMax = 200
const bytesMax = 60 * 1024
const textMax = 4 * 1024

type Sample = ReadSamples['samples'][number]

export class ReadSampler {
  readonly #kept = new Map<string, Sample[]>()
  #taken = 0
  #changed = new Set<string>()

  /** Whether a read that begins now is to be kept: cheap, asked before its text is made. */
  get wants(): boolean {
    return this.#taken < perSecondMax
  }

  add(keyspace: string, sample: Sample): void {
    if (sample.sql.length > textMax) return
    this.#taken++
    let kept = this.#kept.get(keyspace)
    if (kept === undefined) this.#kept.set(keyspace, (kept = []))
    kept.push(sample)
    if (kept.length > keptMax) kept.shift()
    this.#changed.add(keyspace)
  }

  /** Those of keyspaces that were read since the call before. */
  take(gate: string, nowMs: number): ReadSamples[] {
    this.#taken = 0
    const out: ReadSamples[] = []
    for (const keyspace of this.#changed) {
      const samples: Sample[] = []
      let bytes = 0
      for (const sample of (this.#kept.get(keyspace) ?? []).toReversed()) {
        bytes += Buffer.byteLength(sample.sql) + 100
        if (bytes > bytesMax) break
        samples.push(sample)
      }
      out.push({ v: 1, keyspace, gate, atMs: nowMs, samples })
    }
    this.#changed.clear()
    return out
  }
}
