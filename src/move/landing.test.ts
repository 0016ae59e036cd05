import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { Chunk } from './chunk.ts'
import { chunksInFlight } from './copy-budget.ts'
import { landingSize, nextLanding, type LandingState } from './landing.ts'

const mb = 1 << 20

/** Chunks of 1 MB, a part of each for every target. */
const chunks = (count: number, targets: number): Chunk[] =>
  Array.from({ length: count }, (_, i) => {
    const part = { segments: [], rows: 1, bytes: mb / targets }
    return {
      path: String(i),
      parts: Array.from({ length: targets }, () => part),
      rowBytes: mb,
      size: 1,
      readAtMs: 1_000,
    } as unknown as Chunk
  })

const state = (targets: number, change: Partial<LandingState> = {}): LandingState => ({
  size: landingSize(targets),
  target: 0,
  landing: false,
  pressing: false,
  nowMs: 1_000,
  ...change,
})

const landing = (count: number, targets: number, change: Partial<LandingState> = {}): number =>
  nextLanding(chunks(count, targets), state(targets, change)).length

const half = chunksInFlight / 2

test('with one target a quarter of a landing is enough; with many, half of what may be on its way lands together', () => {
  assert.equal(landing(Math.ceil(half / 4), 1), Math.ceil(half / 4))
  assert.equal(landing(Math.ceil(half / 4) - 1, 1), 0)
  for (const targets of [4, 8, 16, 64]) {
    assert.equal(landing(half - 1, targets), 0, `${targets} targets`)
    assert.equal(landing(half, targets), half, `${targets} targets`)
  }
})

test('promise 7: nothing waits for what may not come: when nothing more is read, when a chunk is old, when there are many', () => {
  assert.equal(landing(1, 16, { pressing: true }), 1)
  assert.equal(landing(1, 16, { nowMs: 1_300 }), 1)
  assert.equal(landing(1, 16, { nowMs: 1_299 }), 0)
  const empty = chunks(16, 16).map((chunk) => ({ ...chunk, rowBytes: 0, size: 0, parts: [] }))
  assert.equal(nextLanding(empty, state(16)).length, 16)
  assert.equal(nextLanding(empty.slice(1), state(16)).length, 0)
  assert.equal(landing(0, 16, { pressing: true }), 0)
})

test('while a landing is under way what comes meanwhile is kept together, until it is enough by itself', () => {
  assert.equal(landing(1, 16, { pressing: true, landing: true }), 0)
  assert.equal(landing(half, 16, { pressing: true, landing: true }), half)
})

test('lanes of a target that gets most of the rows share them', () => {
  const most = chunks(chunksInFlight, 4).map((chunk) => ({ ...chunk, parts: [{ segments: [], rows: 1, bytes: mb }, null, null, null] }))
  assert.equal(nextLanding(most, state(4)).length, chunksInFlight / 4)
  assert.equal(nextLanding(chunks(chunksInFlight, 4), state(4)).length, chunksInFlight)
})
