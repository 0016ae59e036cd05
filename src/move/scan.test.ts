import { test } from 'node:test'
import assert from 'node:assert/strict'
import fc from 'fast-check'
import { planScan, type LandedChunk } from './scan.ts'

/** Keys are the numbers 1..100; a chunk (lo, hi] holds lo+1..hi. */
type Model = { landed: LandedChunk[]; has: Set<number>[] }

/** Runs a scan in chunks of `size`, of which each target's landing may be lost, as by a crash with chunks in flight. */
function scanOnce(model: Model, targets: number, size: number, lost: () => boolean): void {
  for (const range of planScan(model.landed, targets).ranges) {
    let lo = range.lo === null ? 0 : Number(range.lo[0])
    const end = range.hi === null ? 100 : Number(range.hi[0])
    for (;;) {
      const exact = range.exactPath !== null
      const hi = exact ? end : Math.min(end, lo + size)
      const last = hi === end
      const path = range.nextPath()
      for (const target of range.targets) {
        if (lost()) continue
        assert.ok(!model.landed.some((chunk) => chunk.target === target && chunk.path === path), `path ${path} twice on target ${target}`)
        for (let key = lo + 1; key <= hi; key++) {
          assert.ok(!model.has[target]!.has(key), `key ${key} landed twice on target ${target}`)
          model.has[target]!.add(key)
        }
        model.landed.push({
          path,
          lo: lo === 0 ? null : [String(lo)],
          hi: last && range.hi === null ? null : [String(hi)],
          target,
          rows: hi - lo,
        })
      }
      if (last) break
      lo = hi
    }
  }
}

test('promise 3: whatever a crash left open is scanned again, once per target, and nothing else', () => {
  fc.assert(
    fc.property(
      fc.array(
        fc.record({ size: fc.integer({ min: 1, max: 40 }), losses: fc.array(fc.boolean(), { minLength: 1, maxLength: 30, size: 'max' }) }),
        {
          minLength: 1,
          maxLength: 5,
        },
      ),
      fc.integer({ min: 1, max: 3 }),
      (rounds, targets) => {
        const model: Model = { landed: [], has: Array.from({ length: targets }, () => new Set<number>()) }
        for (const { size, losses } of rounds) {
          let i = 0
          scanOnce(model, targets, size, () => losses[i++ % losses.length] === true)
        }
        scanOnce(model, targets, 7, () => false)
        assert.ok(planScan(model.landed, targets).complete)
        for (const has of model.has) assert.equal(has.size, 100)
      },
    ),
    { numRuns: 500 },
  )
})
