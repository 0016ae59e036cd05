import { test } from 'node:test'
import assert from 'node:assert/strict'
import fc from 'fast-check'
import { foldable, landedSum, planScan, type LandedRange } from './scan.ts'

/** With how many chunks were put together in it. */
type Landed = LandedRange & { bytes: number; chunks: number }

/** Keys are the numbers 1..100; a chunk (lo, hi] holds lo+1..hi. */
type Model = { landed: Landed[]; has: Set<number>[] }

/** Runs a scan in chunks of `size`, of which each target's landing may be lost, as by a crash with chunks in flight. */
function scanOnce(
  model: Model,
  targets: number,
  size: number,
  lost: () => boolean,
  onLanded: (target: number) => void = () => undefined,
): void {
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
          first: path,
          path,
          lo: lo === 0 ? null : [String(lo)],
          hi: last && range.hi === null ? null : [String(hi)],
          target,
          rows: hi - lo,
          bytes: 10 * (hi - lo),
          chunks: 1,
        })
        onLanded(target)
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

/** As `LandedRanges` does on a target, any number of them. */
function fold(model: Model, targets: number, target: number, rowsMax: number): void {
  for (const run of foldable(model.landed, targets, target, rowsMax)) {
    const last = run.at(-1)!
    const total = (of: (range: Landed) => number): number => run.reduce((sum, range) => sum + of(range), 0)
    const [rows, bytes, chunks] = [total((range) => range.rows), total((range) => range.bytes), total((range) => range.chunks)]
    const into = { ...last, first: run[0]!.first, lo: run[0]!.lo, rows, bytes, chunks }
    model.landed = [...model.landed.filter((range) => !run.includes(range)), into]
  }
}

test('promises 3, 8: ranges that are put together on some targets or on all, at any time, hide nothing that is missing elsewhere, nor what a target has lost again', () => {
  const flags = fc.array(fc.boolean(), { minLength: 1, maxLength: 30, size: 'max' })
  const round = fc.record({
    size: fc.integer({ min: 1, max: 25 }),
    losses: flags,
    folds: flags,
    rowsMax: fc.integer({ min: 2, max: 9 }),
    // A target that comes back without its last landings (its disk, a failover).
    back: fc.option(fc.record({ target: fc.nat(2), at: fc.nat(20) })),
  })
  fc.assert(
    fc.property(fc.array(round, { minLength: 1, maxLength: 6 }), fc.integer({ min: 1, max: 3 }), (rounds, targets) => {
      const model: Model = { landed: [], has: Array.from({ length: targets }, () => new Set<number>()) }
      for (const { size, losses, folds, rowsMax, back } of rounds) {
        let i = 0
        let landings = 0
        let before: { landed: Landed[]; has: Set<number> } | null = null
        const lost = (): boolean => losses[i++ % losses.length] === true
        scanOnce(model, targets, size, lost, (target) => {
          if (folds[landings++ % folds.length] === true) fold(model, targets, target, rowsMax)
          if (back !== null && back.target % targets === target && landings <= back.at)
            before = { landed: model.landed.filter((range) => range.target === target), has: new Set(model.has[target]) }
        })
        if (before === null || back === null) continue
        const target = back.target % targets
        const { landed, has } = before as { landed: Landed[]; has: Set<number> }
        model.landed = [...model.landed.filter((range) => range.target !== target), ...landed]
        model.has[target] = has
      }
      scanOnce(model, targets, 7, () => false)
      assert.ok(planScan(model.landed, targets).complete)
      for (const has of model.has) assert.equal(has.size, 100)
      assert.equal(planScan(model.landed, targets).rowsLanded, 100 * targets)
      const whole = landedSum(model.landed, targets)
      assert.deepEqual([whole.rows, whole.bytes, whole.chunkRows, whole.complete], [100 * targets, 1_000 * targets, 100 * targets, true])
      for (let target = 0; target < targets; target++) fold(model, targets, target, 1_000)
      assert.deepEqual(landedSum(model.landed, targets), whole, 'whatever is put together')
      assert.equal(model.landed.length, targets, 'all is one range')
      assert.ok(planScan(model.landed, targets).complete)
    }),
    { numRuns: 800 },
  )
})

test('what one target lacks keeps its own path and number of rows: it is not put together on the others', () => {
  const chunk = (n: number, target: number): LandedRange => ({
    first: `${n}`,
    path: `${n}`,
    lo: n === 1 ? null : [`${n}`],
    hi: [`${n + 1}`],
    target,
    rows: n,
  })
  const landed = [1, 2, 3, 4, 5].flatMap((n) => (n === 3 ? [chunk(n, 0)] : [chunk(n, 0), chunk(n, 1)]))
  const paths = (target: number, rowsMax: number): string[][] =>
    foldable(landed, 2, target, rowsMax).map((run) => run.map(({ path }) => path))
  assert.deepEqual(paths(0, 9), [
    ['1', '2'],
    ['4', '5'],
  ])
  assert.deepEqual(paths(1, 9), paths(0, 9))
  assert.deepEqual(paths(0, 1), [])
  const { rowsAgain, ranges } = planScan(landed, 2)
  assert.deepEqual([rowsAgain, ranges[0]?.exactPath, ranges[0]?.targets], [3, '3', [1]])
})

test('chunks count that all targets have; rows and bytes wherever they are', () => {
  const range = (first: number, path: number, target: number, chunks: number): Landed => ({
    first: `${first}`,
    path: `${path}`,
    lo: first === 1 ? null : [`${first}`],
    hi: [`${path + 1}`],
    target,
    rows: 5 * chunks,
    bytes: 50 * chunks,
    chunks,
  })
  // 1 to 3 were put together on one target, and one of 4 and 5 has landed there only.
  const landed = [range(1, 3, 0, 3), range(4, 4, 0, 1), range(1, 1, 1, 1), range(2, 2, 1, 1), range(3, 3, 1, 1)]
  assert.deepEqual(landedSum(landed, 2), { rows: 35, bytes: 350, chunks: 3, chunkRows: 30, complete: false })
  assert.deepEqual(landedSum([], 2), { rows: 0, bytes: 0, chunks: 0, chunkRows: 0, complete: false })
})
