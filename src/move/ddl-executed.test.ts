/** PROTOCOLS 1.13: how long what stands in the way of a statement may stay there. */
import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import { test } from 'node:test'
import { systemClock } from '../base/clock.ts'
import type { Connection } from '../mysql/connection.ts'
import { noFailpoints } from './crash-points.ts'
import { executeOnce, type Executed } from './ddl-executed.ts'
import type { KeysConcerned } from './ddl-keys.ts'
import { withoutKeys } from './table-look.ts'

/** On a target that has nothing noted. `prepare` takes so long, while no other stream writes. */
async function executed(
  prepareMs: number,
  inTheWay: (attempt: number) => string | null,
): Promise<{ outcome: string; attempts: number; pausedMs: number }> {
  let [nowMs, pausedMs, attempts] = [0, 0, 0]
  let outcome = ''
  const conn = { open: true, value: () => Promise.resolve('1'), allText: () => Promise.resolve([]) }
  await executeOnce(
    {
      conn: conn as unknown as Connection,
      on: { streamUid: 's', targetUid: 't', workflowUid: 'w', direction: 'forward' },
      write: () => Promise.resolve(),
      alone: (work) => work(),
      clock: {
        ...systemClock,
        monotonicMs: () => nowMs,
        sleep: (ms) => {
          nowMs += ms
          pausedMs += ms
          return Promise.resolve()
        },
      },
      signal: new AbortController().signal,
      failpoints: noFailpoints,
      onWaiting: () => undefined,
    },
    {
      schema: 'app',
      tables: ['item'],
      place: { marker: 1, groups: 1 },
      statement: Buffer.from('CREATE INDEX i ON item (a)'),
      keys: 'any',
    },
    {
      prepare: () => {
        nowMs += prepareMs
        return Promise.resolve(inTheWay(attempts++))
      },
      execute: () => Promise.resolve(void (outcome = 'executed')),
      define: async () => ({}),
      refuse: (what) => new Error(what),
    },
  ).catch((error: unknown) => (outcome = String(error)))
  return { outcome, attempts, pausedMs }
}

test('1.13 exec: keys that are built for hours before a statement take no time from the streams that have to bring two rows apart', async () => {
  const collides = (attempt: number): string | null => (attempt === 0 ? 'two rows hold 5' : null)
  assert.deepEqual(await executed(7_200_000, collides), { outcome: 'executed', attempts: 2, pausedMs: 600_000 })
  assert.deepEqual(await executed(0, collides), { outcome: 'executed', attempts: 2, pausedMs: 50 })
})

test('1.13 exec: what stands in the way is refused when the other streams have had ten minutes, however long an attempt takes', async () => {
  for (const prepareMs of [0, 5_000, 120_000, 7_200_000]) {
    const { outcome, attempts, pausedMs } = await executed(prepareMs, () => 'two rows hold 5')
    assert.match(outcome, /two rows hold 5/)
    assert.ok(attempts > 1 && pausedMs >= 600_000 && pausedMs < 1_200_000, `${prepareMs}: ${attempts} attempts, ${pausedMs} ms`)
  }
})

const [same, other] = ['now', 'then'].map((text) => createHash('sha256').update(text).digest('hex')) as [string, string]

type Noted = { done: string; look: string; own?: boolean }

/** A statement on a table that looks like `same`, or as shown, met where these rows stand. */
async function met(
  noted: readonly Noted[],
  { shown, keys }: { shown: string; keys: KeysConcerned } = { shown: 'now', keys: 'any' },
): Promise<{ isExecuted: boolean; made: Executed | null }> {
  let isExecuted = false
  const rows = noted.map(({ own, ...row }, i) => ({
    ...row,
    stream: own === true ? 's' : `other${i}`,
    at_marker: '9',
    at_groups: '1',
    defined: null,
  }))
  const conn = {
    open: true,
    value: () => Promise.resolve('1'),
    allText: (sql: string) => {
      if (sql.startsWith('SHOW CREATE')) return Promise.resolve([{ 'Create Table': shown }])
      if (sql.includes('move_stream')) return Promise.resolve([])
      const isOwn = !sql.includes('stream_uid <>')
      return Promise.resolve(rows.filter(({ stream }) => (stream === 's') === isOwn))
    },
  }
  const made = await executeOnce(
    {
      conn: conn as unknown as Connection,
      on: { streamUid: 's', targetUid: 't', workflowUid: 'w', direction: 'forward' },
      write: () => Promise.resolve(),
      alone: (work) => work(),
      clock: systemClock,
      signal: new AbortController().signal,
      failpoints: noFailpoints,
      onWaiting: () => undefined,
    },
    {
      schema: 'app',
      tables: ['item'],
      place: { marker: 9, groups: 1 },
      statement: Buffer.from('CREATE INDEX i ON item (a)'),
      keys,
    },
    {
      prepare: async () => null,
      execute: () => Promise.resolve(void (isExecuted = true)),
      define: async () => ({}),
      refuse: (what) => new Error(what),
    },
  )
  return { isExecuted, made }
}

test('1.13 exec: what another stream noted and passed without making it is made, where the table is as it was then; done elsewhere, or by hand, it is not', async () => {
  const run = async (noted: readonly Noted[]): Promise<boolean> => (await met(noted)).isExecuted
  assert.equal(await run([{ done: '0', look: same }]), true)
  assert.equal(await run([{ done: '0', look: other }]), false)
  assert.equal(await run([{ done: '1', look: other }]), false)
  assert.equal(
    await run([
      { done: '0', look: same },
      { done: '1', look: other },
    ]),
    false,
  )
})

test('1.13 exec: of a statement that an earlier version noted, and that is made now, it is known what it was made of', async () => {
  assert.deepEqual(await met([{ done: '0', look: same, own: true }]), { isExecuted: true, made: { before: {}, after: {} } })
  assert.deepEqual(await met([{ done: '0', look: other, own: true }]), { isExecuted: false, made: null })
})

test('1.13 exec: keys that a statement is not about may be built before it is met again: it is made all the same, and not made again once its own key is there', async () => {
  const table = (...keys: readonly string[]): string =>
    ['CREATE TABLE `item` (', ['  `a` int', ...keys.map((key) => `  KEY \`${key}\` (\`a\`)`)].join(',\n'), ')'].join('\n')
  const keys: KeysConcerned = { named: ['i'], ofColumns: [], dropped: [] }
  const look = (text: string): string => createHash('sha256').update(text).digest('hex')
  const run = async (noted: string, ...there: readonly string[]): Promise<boolean> =>
    (await met([{ own: true, done: '0', look: look(noted) }], { shown: table(...there), keys })).isExecuted
  const without = withoutKeys(table())
  assert.equal(await run(without), true)
  assert.equal(await run(without, 'waited'), true)
  assert.equal(await run(without, 'waited', 'i'), false)
  // An earlier version had built all, and looked at all.
  assert.equal(await run(table('waited'), 'waited'), true)
  assert.equal(await run(table('waited'), 'waited', 'i'), false)
})
