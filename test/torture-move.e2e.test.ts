/**
 * Promises 1, 3, 4: a short torture of the movement engine (`npm run torture:move` is the long one, test/torture/move/README.md): random tables, a random shape,
 * a workload, harm, then every row read directly from both servers, byte for byte.
 */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { systemClock } from '../src/base/clock.ts'
import { round } from './torture/move/round.ts'
import { Field } from './torture/move/servers.ts'

test('promises 1, 3, 4: a short torture of the movement engine, seed 7', async (t) => {
  await using field = await Field.start('mariadb', 'mariadb')
  const lines: string[] = []
  const figures = await round({
    field,
    seed: 7,
    number: 1,
    endMs: systemClock.monotonicMs() + 60_000,
    roundMs: 4_000,
    say: (line) => lines.push(line),
    faults: true,
    servers: 'one',
  }).catch((error: unknown) => {
    throw new Error(`${lines.join('\n')}\nagain: npm run torture:move -- --seed 7 --rounds 1`, { cause: error })
  })
  t.diagnostic(lines.at(-1) ?? '')
  assert.ok(figures.rows > 0 && figures.transactions > 0 && figures.vdiffs > 0)
})
