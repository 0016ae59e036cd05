/** Promise 8: what a row of megabytes leaves in memory while it is written. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import { systemClock } from '../base/clock.ts'
import type { RowsEvent, Tail, TailEvent } from '../binlog/source.ts'
import { SpannedRows } from '../mysql/spanned-rows.ts'
import { statementBytes } from '../mysql/statement.ts'
import type { Change } from './pending.ts'
import { upsertStatements } from './statements.ts'
import { columnOf, planOf, stampOf } from './testkit/samples.ts'
import { TailConsumer } from './tail-consumer.ts'
import type { TailConsumerOptions } from './tail-consumer-options.ts'

setFlagsFromString('--expose-gc')
const collect = runInNewContext('gc') as () => void

const plan = planOf([columnOf('id', 'bigint'), columnOf('b', 'longblob')], ['id'], { reference: true })
const table = { schema: 's', name: 't', columns: [{ name: 'id' }, { name: 'b' }] } as unknown as RowsEvent['table']
const at = { file: 'f', offset: 4 }
const rowBytes = 4 << 20

function update(): RowsEvent {
  const image = (fill: number): SpannedRows => {
    const data = Buffer.alloc(1 + rowBytes, fill)
    data[0] = 0x37
    return new SpannedRows(data, Int32Array.from([0, 1, 1, data.length]), 1, 2)
  }
  return {
    kind: 'rows',
    table,
    change: 'update',
    length: 1,
    before: image(65),
    after: image(66),
    bytes: 2 * rowBytes,
    engineCascades: false,
    at,
  }
}

/** A consumer that has read a row of megabytes, which is written for as long as the test likes. `here`: its event is there when it is asked for; else it comes. */
async function whileWritten(
  here: boolean,
): Promise<{ event: WeakRef<ArrayBufferLike>; changes: readonly Change[]; end: () => Promise<void> }> {
  const stop = new AbortController()
  let seen: WeakRef<ArrayBufferLike> | null = null
  let step = 0
  const nextEvent = (): TailEvent | undefined => {
    step++
    if (step === 1) return { kind: 'begin', gtid: 'g', serverId: 1, committedAtMs: 0, groupBytes: null, at }
    if (step > 2) return undefined
    const event = update()
    seen = new WeakRef(event.after?.data.buffer ?? new ArrayBuffer(0))
    return event
  }
  const never = new Promise<never>((_, reject) => stop.signal.addEventListener('abort', () => reject(new Error('ended')), { once: true }))
  never.catch(() => undefined)
  const tail = {
    tryNext: () => (here ? nextEvent() : undefined),
    next: () => {
      const event = nextEvent()
      return event === undefined ? never : Promise.resolve(event)
    },
  } as unknown as Tail
  let written = (_: readonly Change[]): void => undefined
  const writing = new Promise<readonly Change[]>((resolve) => (written = resolve))
  const target = {
    beginParts: () => Promise.resolve(),
    applyPart: (changes: readonly Change[]) => {
      written(changes)
      return never
    },
  }
  const options = {
    sourceName: 's',
    planOf: () => plan,
    router: { route: () => null },
    targets: [target],
    stoodAt: [],
    severalSources: [false],
    copying: new Set(),
    clock: systemClock,
    sourceNowMs: () => 0,
    partBytesMax: () => 1 << 20,
    announced: { abandonGroup: () => undefined },
    hiddenCascades: { refuse: () => undefined },
  } as unknown as TailConsumerOptions
  const running = new TailConsumer(options, stampOf()).run(tail, stop.signal)
  running.catch(() => undefined)
  const changes = await writing
  assert.ok(seen !== null)
  return { event: seen, changes, end: async () => (stop.abort(), await running.catch(() => undefined)) }
}

for (const here of [true, false]) {
  test(`promise 8: while a row of megabytes is written, nobody keeps its event, which ${here ? 'was there' : 'was waited for'}`, async () => {
    const { event, changes, end } = await whileWritten(here)
    await new Promise((resolve) => setImmediate(resolve))
    collect()
    assert.equal(event.deref(), undefined)
    const [change] = changes
    assert.equal(changes.length, 1)
    assert.ok(Buffer.isBuffer(change?.row))
    // Nor is it put together once more.
    const [upsert] = upsertStatements(plan, changes, 'one-source', 's')
    assert.ok(upsert !== undefined && Array.isArray(upsert.statement))
    assert.ok((upsert.statement as Buffer[]).some(({ buffer, length }) => buffer === (change.row as Buffer).buffer && length > rowBytes))
    assert.equal(statementBytes(upsert.statement), "REPLACE INTO `s`.`t` (`id`,`b`) VALUES (7,'')".length + rowBytes)
    await end()
  })
}
