import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { decide, emptyBuffer, nextTickMs, type BufferEffect, type BufferEvent, type BufferState } from './buffer.ts'

const limits = { bytesMax: 1000, waitMaxMs: 100, graceMs: 50 }

function play(events: readonly BufferEvent[]): { state: BufferState; effects: BufferEffect[] } {
  let state = emptyBuffer
  const effects: BufferEffect[] = []
  for (const event of events) {
    const decision = decide(state, event, limits)
    state = decision.state
    effects.push(...decision.effects)
  }
  return { state, effects }
}

const routing = (version: number, held: string[], nowMs: number, open = 0): BufferEvent => ({ kind: 'routing', version, held, open, nowMs })
const arrive = (id: number, nowMs: number, components: string[] = ['k/-'], bytes = 10): BufferEvent => ({
  kind: 'arrive',
  ticket: { id, components, bytes },
  nowMs,
})

/** Name, events, effects expected of all of them. */
const table: [string, BufferEvent[], BufferEffect[]][] = [
  [
    'nothing held: runs at once',
    [routing(1, [], 0), arrive(1, 1)],
    [
      { kind: 'acknowledge', version: 1, open: 0 },
      { kind: 'release', id: 1 },
    ],
  ],
  [
    'held: waits, is released in order when the hold ends, and the hold is reported',
    [routing(1, ['k/-'], 0), arrive(1, 10), arrive(2, 20), routing(2, [], 60)],
    [
      { kind: 'acknowledge', version: 1, open: 0 },
      { kind: 'acknowledge', version: 2, open: 0 },
      { kind: 'release', id: 1 },
      { kind: 'release', id: 2 },
      { kind: 'report', report: { version: 2, held: 2, failed: 0, longestMs: 50, medianMs: 50 } },
    ],
  ],
  [
    'another component goes on',
    [routing(1, ['k/-80'], 0), arrive(1, 1, ['k/80-'])],
    [
      { kind: 'acknowledge', version: 1, open: 0 },
      { kind: 'release', id: 1 },
    ],
  ],
  [
    'one that touches a held and a free component waits, and what comes after it on the free one too: order is kept',
    [routing(1, ['k/-80'], 0), arrive(1, 1, ['k/-80', 'k/80-']), arrive(2, 2, ['k/80-'])],
    [{ kind: 'acknowledge', version: 1, open: 0 }],
  ],
  [
    'open transactions are acknowledged as they end',
    [
      routing(3, ['k/-'], 0, 2),
      { kind: 'open', open: 1, nowMs: 1 },
      { kind: 'open', open: 1, nowMs: 2 },
      { kind: 'open', open: 0, nowMs: 3 },
    ],
    [
      { kind: 'acknowledge', version: 3, open: 2 },
      { kind: 'acknowledge', version: 3, open: 1 },
      { kind: 'acknowledge', version: 3, open: 0 },
    ],
  ],
  [
    'those that outlive the grace are expelled, once',
    [routing(3, ['k/-'], 0, 1), { kind: 'tick', nowMs: 49 }, { kind: 'tick', nowMs: 50 }, { kind: 'tick', nowMs: 60 }],
    [
      { kind: 'acknowledge', version: 3, open: 1 },
      { kind: 'expel', components: ['k/-'] },
    ],
  ],
  [
    'waiting ends by itself',
    [routing(1, ['k/-'], 0), arrive(1, 0), { kind: 'tick', nowMs: 100 }],
    [
      { kind: 'acknowledge', version: 1, open: 0 },
      { kind: 'fail', id: 1, reason: 'expired', waitedMs: 100 },
    ],
  ],
  [
    'memory is bounded, and one that is too large alone is let in',
    [routing(1, ['k/-'], 0), arrive(1, 0, ['k/-'], 5000), arrive(2, 0)],
    [
      { kind: 'acknowledge', version: 1, open: 0 },
      { kind: 'fail', id: 2, reason: 'full', waitedMs: 0 },
    ],
  ],
  [
    'who left is not released',
    [routing(1, ['k/-'], 0), arrive(1, 0), { kind: 'leave', id: 1, nowMs: 1 }, routing(2, [], 2)],
    [
      { kind: 'acknowledge', version: 1, open: 0 },
      { kind: 'acknowledge', version: 2, open: 0 },
      { kind: 'report', report: { version: 2, held: 0, failed: 0, longestMs: 0, medianMs: 0 } },
    ],
  ],
  [
    'an older version changes nothing',
    [routing(5, ['k/-'], 0), routing(4, [], 1), arrive(1, 2)],
    [{ kind: 'acknowledge', version: 5, open: 0 }],
  ],
  [
    'a change of another component does not end a hold',
    [routing(5, ['k/-'], 0), arrive(1, 1), routing(6, ['k/-'], 2)],
    [
      { kind: 'acknowledge', version: 5, open: 0 },
      { kind: 'acknowledge', version: 6, open: 0 },
    ],
  ],
]

for (const [name, events, effects] of table) test(`hold: ${name}`, () => assert.deepEqual(play(events).effects, effects))

test('hold (promises 7, 8): every ticket leaves exactly once, nothing runs on a held component, order and bounds hold', () => {
  const key = fc.constantFrom('k/-80', 'k/80-')
  const step = fc.oneof(
    fc.record({ kind: fc.constant('routing' as const), held: fc.uniqueArray(key) }),
    fc.record({
      kind: fc.constant('arrive' as const),
      components: fc.uniqueArray(key, { minLength: 1 }),
      bytes: fc.integer({ min: 1, max: 700 }),
    }),
    fc.record({ kind: fc.constant('leave' as const), back: fc.nat(5) }),
    fc.record({ kind: fc.constant('tick' as const), ms: fc.nat(80) }),
  )
  fc.assert(
    fc.property(fc.array(step, { maxLength: 60, size: 'max' }), (steps) => {
      let state = emptyBuffer
      let version = 0
      let nowMs = 0
      let held: string[] = []
      const waiting = new Map<number, readonly string[]>()
      let next = 1
      for (const s of steps) {
        let event: BufferEvent
        if (s.kind === 'routing') event = routing(++version, (held = s.held), nowMs)
        else if (s.kind === 'arrive') {
          waiting.set(next, s.components)
          event = { kind: 'arrive', ticket: { id: next++, components: s.components, bytes: s.bytes }, nowMs }
        } else if (s.kind === 'leave') event = { kind: 'leave', id: next - s.back, nowMs }
        else event = { kind: 'tick', nowMs: (nowMs += s.ms) }
        const left = event.kind === 'leave' ? event.id : null
        if (left !== null) waiting.delete(left)
        const before = state
        const decision = decide(state, event, limits)
        state = decision.state
        for (const effect of decision.effects) {
          if (effect.kind === 'release' || effect.kind === 'fail') {
            const components = waiting.get(effect.id)
            assert.ok(components !== undefined, 'left twice')
            waiting.delete(effect.id)
            if (effect.kind === 'release') {
              assert.ok(!components.some((c) => held.includes(c)), 'ran on a held component')
              for (const [id, other] of waiting) assert.ok(id > effect.id || !other.some((c) => components.includes(c)), 'overtook')
            }
          }
        }
        assert.deepEqual(
          state.waiting.map((w) => w.id),
          [...waiting.keys()],
        )
        assert.equal(
          state.bytes,
          state.waiting.reduce((sum, w) => sum + w.bytes, 0),
        )
        assert.ok(state.waiting.length <= 1 || state.bytes <= limits.bytesMax)
        if (state.waiting.length > 0) assert.ok(nextTickMs(state, limits) !== null, 'a wait without an end')
        void before
      }
    }),
    { numRuns: 1_000 },
  )
})
