/** Promise 7 of this room: a repair whose right or whose locks are gone leaves nothing behind; with both it writes and is marked as an applier's. */
import { test } from 'node:test'
import assert from 'node:assert/strict'
import { flavours } from '../../test/kit/servers.ts'
import { isSwError } from '../base/errors.ts'
import { systemClock } from '../base/clock.ts'
import { readSourceTables } from '../move/source-tables.ts'
import { planComparison, readDefinitions, readEstimates } from './comparison.ts'
import { shardGroups } from './groups.ts'
import type { Verdict } from './judge.ts'
import { TargetRepair } from './repair.ts'
import { Sessions } from './sessions.ts'
import { VerifyWorld } from './testkit/world.ts'
import { connect } from '../mysql/connect.ts'
import { isServerError } from '../mysql/errors.ts'
import { noOpenTransactions } from '../../test/kit/open-transactions.ts'

for (const flavour of flavours()) {
  test(`repair on ${flavour}: only with the right to write, and only while the source's rows are locked`, async () => {
    await using world = await VerifyWorld.create({ flavour, sources: ['-'], targets: ['-'] })
    const source = world.on(world.sources, '-', 'item')
    const target = world.on(world.targets, '-', 'item')
    await world.s.query(`INSERT INTO ${source} VALUES (1, 1, 'right', NULL, 1), (2, 2, 'right', NULL, 2)`)
    await world.start()
    await world.stopMovers()
    await world.t.query(`UPDATE ${target} SET a = 'wrong'`)
    const applier = '_shardwright.move_applier'
    const marks = async (): Promise<string | null | undefined> => world.t.value(`SELECT n FROM ${applier} WHERE lane = 0`)

    const abort = new AbortController()
    await using sessions = new Sessions({ addresses: world.addresses, clock: systemClock, perServerMax: 4, signal: abort.signal })
    const use: Sessions['reader'] = (id, work) => sessions.reader(id, work)
    const shards = [...world.sources, ...world.targets]
    const [group] = shardGroups(world.streams())
    const [table] = await readSourceTables(world.s, '-', world.sources[0]!.schema, world.streams()[0]!.tables)
    const comparison = planComparison(group!, table!, await readDefinitions(shards, use), await readEstimates(shards, use), new Map())
    const conn = await sessions.own('source')
    const locked = [{ side: comparison.sources[0]!, conn }]
    const places = new Map(
      ['1', '2'].map((key, place): [number, Verdict] => {
        const row = { key, home: 0, values: [] }
        return [place, { findings: [], amends: [{ target: 0, remove: [key], put: row }], needsAbsence: false }]
      }),
    )
    let looks = 0
    let looked = (): Promise<void> => Promise.resolve()
    const asPlanned = async (refs: readonly { uid: string }[]): Promise<void> => {
      looks++
      assert.deepEqual(
        refs.map(({ uid }) => uid),
        ['s-', 't-'],
      )
      await looked()
    }
    await using repair = new TargetRepair({ comparison, sessions, asPlanned, clock: systemClock, signal: abort.signal })
    const wrong = async (): Promise<number> => Number(await world.t.value(`SELECT COUNT(*) FROM ${target} WHERE a = 'wrong'`))
    const held = (): Promise<void> => Promise.resolve()

    // The stream does not run: nobody has the right.
    await repair.prepare()
    assert.deepEqual([...(await repair.apply(places, locked, held))], [])
    assert.equal(await wrong(), 2)

    // Somebody else took over since.
    await world.t.query(`UPDATE ${applier} SET state = 'running'`)
    await repair.prepare()
    await world.t.query(`UPDATE ${applier} SET epoch = epoch + 1`)
    await assert.rejects(repair.apply(places, locked, held), (error) => isSwError(error, 'SW-MOVE-001'))
    assert.equal(await wrong(), 2)

    // The locks are gone at the last moment.
    await repair.prepare()
    const before = await marks()
    await assert.rejects(
      repair.apply(places, locked, () => Promise.reject(new Error('locks are gone'))),
      /locks are gone/,
    )
    await repair[Symbol.asyncDispose]()
    await noOpenTransactions(world.t, 'it is rolled back')
    assert.deepEqual([await wrong(), await marks()], [2, before])

    // The table is altered: before the look, which tells; or behind it, which is too late for the one who alters it.
    await repair.prepare()
    looked = () => Promise.reject(new Error('it is another table'))
    await assert.rejects(repair.apply(places, locked, held), /it is another table/)
    await repair[Symbol.asyncDispose]()
    await noOpenTransactions(world.t, 'it is rolled back')
    assert.deepEqual([await wrong(), await marks()], [2, before])
    looked = () => Promise.resolve()
    await repair.prepare()
    const ddl = await connect({ ...world.target.config, sessionSql: ['SET SESSION lock_wait_timeout=1'] })
    const order: string[] = []
    looked = async () => {
      order.push('look')
      // Less than the writing session's second of silence.
      const kill = setTimeout(() => void world.t.query(`KILL QUERY ${ddl.threadId}`), 300)
      const refused = await ddl.query(`ALTER TABLE ${target} ADD COLUMN late INT`).then(
        () => false,
        (error: unknown) => isServerError(error) && error.kind === 'interrupted',
      )
      clearTimeout(kill)
      ddl.destroy()
      assert.ok(refused, 'no DDL comes between the look and the commit')
    }
    const looksBefore = looks
    const stillHeld = async (): Promise<void> => void order.push('still locked')
    assert.deepEqual([...(await repair.apply(places, locked, stillHeld))], [0, 1])
    assert.deepEqual([looks - looksBefore, order], [1, ['look', 'still locked']], 'locks that are there after the look were there at it')
    looked = () => Promise.resolve()
    const written = await marks()
    await world.t.query(`UPDATE ${target} SET a = 'wrong'`)
    assert.equal(Number(written), Number(before) + 1)

    await repair.prepare()
    assert.deepEqual([...(await repair.apply(places, locked, held))], [0, 1])
    assert.equal(await wrong(), 0)
    assert.equal(Number(await marks()), Number(written) + 1, 'one transaction, with the mark of an applier')
    conn.destroy()
  })
}
