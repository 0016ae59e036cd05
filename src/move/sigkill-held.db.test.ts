/**
 * Promises 1, 3, with real deaths where rows are held back for another stream's: as `sigkill.db.test.ts`, in a merge of two sources; the other stream is to stand still meanwhile. (Within one process, in
 * more places: `crash-held.db.test.ts`.) On the main flavour; on the other at one point; on both at all, and killed more often, by SHARDWRIGHT_CRASH_ALL=1.
 */
import assert from 'node:assert/strict'
import { spawn, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { bumpControlMarker } from '../binlog/control-schema.ts'
import { flavours, mainFlavour, testServer } from '../../test/kit/servers.ts'
import { Final, until } from '../../test/kit/until.ts'
import { keys } from '../topology/keys.ts'
import type { StreamRecord, StreamReport } from '../topology/records.ts'
import { SqliteStore } from '../topology/sqlite.ts'
import { put, readRecord } from '../topology/typed.ts'
import { crashPoints, type CrashPoint } from './crash-points.ts'
import { putServers } from './testkit/mover-kit.ts'
import { ownersOf } from './testkit/owners.ts'
import { execOf } from './testkit/samples.ts'
import { World } from './testkit/world.ts'

/** A row of the first source waits for one of the second's in each; in the last one the tail stands at a statement besides, and the source has given the row up behind it. */
const points = ['held.tried', 'held.kept', 'held.stored', 'held.leftOut'] as const satisfies readonly CrashPoint[]

/** Each costs the start of a process. */
const all = process.env['SHARDWRIGHT_CRASH_ALL'] !== undefined

for (const flavour of flavours()) {
  const whole = all || mainFlavour().includes(flavour)
  const at = whole ? 'each point' : 'one point'
  test(
    `promises 1, 3 on ${flavour}: movers of a merge killed by SIGKILL, at ${at} of rows held back: the same rows`,
    { timeout: 240_000 },
    async () => {
      assert.deepEqual(points.toSorted(), crashPoints.filter((point) => point.startsWith('held.')).toSorted(), 'every point is walked')
      await using server = await testServer({ flavour })
      await using world = await World.create({ flavour, sources: ['-80', '80-'], targets: ['-'] }, { source: server, target: server })
      const [a, b] = ownersOf(world)
      const [first, second] = world.sourceRefs.map(({ schema }) => `${schema}.item`)
      const dir = mkdtempSync(join(tmpdir(), 'sw-sigkill-held-'))
      const file = join(dir, 'topology.sqlite')
      await using store = new SqliteStore(file)
      await putServers(store, { source: server, target: server })
      let generation = 0
      let child: ChildProcess | null = null
      const end = async (): Promise<void> => {
        if (child === null || child.exitCode !== null || child.signalCode !== null) return
        const exited = once(child, 'exit')
        child.kill('SIGKILL')
        await exited
      }
      /** A mover of both, or of the first alone, which dies at a point. */
      const start = async (what: 'both' | CrashPoint): Promise<readonly StreamRecord[]> => {
        generation++
        const records = [0, 1].map((source): StreamRecord => {
          const record = execOf(world.record(source))
          const failpoints = source === 0 && what !== 'both' ? { [what]: 'kill' as const } : {}
          const wanted = source === 1 && what !== 'both' ? 'stopped' : 'running'
          return { ...record, generation, wanted, options: { ...record.options, failpoints } }
        })
        const flow = records[0]!.workflowUid
        await store.commit(
          [],
          [...records.map((record) => put(keys.stream(flow, record.uid), record)), { key: keys.streamOwner(flow), value: undefined }],
        )
        const script = join(import.meta.dirname, 'testkit', 'mover-process.ts')
        child = spawn(process.execPath, [script, file, `mover-${generation}`], { stdio: ['ignore', 'ignore', 'inherit'] })
        return records
      }
      const report = async ({ workflowUid, uid }: StreamRecord): Promise<StreamReport | undefined> =>
        (await readRecord<StreamReport>(store, keys.report(workflowUid, uid)))?.value
      const drained = async (records: readonly StreamRecord[]): Promise<void> => {
        const each = (what: string, holds: (report: StreamReport) => boolean): Promise<boolean> =>
          until(what, async () => {
            const now = await Promise.all(records.map(report))
            for (const one of now) if (one?.state === 'failed' && one.generation === generation) throw new Final(JSON.stringify(one.error))
            return now.every((one) => one?.state === 'running' && one.generation === generation && holds(one))
          })
        // What is written before a stream has its first position does not come to it.
        await each('streams that run', () => true)
        const marker = await bumpControlMarker(world.s)
        await each('all to be applied', ({ targets }) => targets.every(({ controlMarker }) => controlMarker >= marker))
      }
      const killedAt = async (point: CrashPoint): Promise<void> => {
        const [record] = await start(point)
        const limit = AbortSignal.timeout(30_000)
        try {
          const [, signal] = (await once(child!, 'exit', { signal: limit })) as [number | null, NodeJS.Signals | null]
          assert.equal(signal, 'SIGKILL', point)
        } catch (error) {
          if (!limit.aborted) throw error
          assert.fail(`${point} was not met; last report: ${JSON.stringify(await report(record!))}`)
        }
      }
      const write = async (...statements: string[]): Promise<void> => {
        for (const statement of statements) await world.s.query(statement)
      }
      try {
        await write(`INSERT INTO ${second} VALUES (1, ${b}, 5, 'n', 0), (2, ${b}, 6, 'n', 0)`)
        await drained(await start('both'))
        await end()
        await write(
          `DELETE FROM ${second} WHERE id = 1`,
          `UPDATE ${second} SET u = NULL WHERE id = 2`,
          `INSERT INTO ${first} VALUES (1, ${a}, 5, 'n', 1), (3, ${a}, 6, 'n', 1), (4, ${a}, 9, 'n', 1)`,
        )
        const first3 = ['held.tried', 'held.kept', 'held.stored'] as const
        for (const point of whole ? [...first3, ...(all ? (['held.tried'] as const) : [])] : (['held.kept'] as const)) await killedAt(point)
        const targets = world.targetRefs.map(({ schema }) => `${schema}.item`)
        assert.equal(await world.t.value(`SELECT COUNT(*) FROM ${targets[0]} WHERE owner = ${b}`), '2', 'the second stream stood still')
        await drained(await start('both'))
        assert.equal(await world.assertEqual(), 4)
        await end()
        if (!whole) return

        // The second's rows stand there when the first comes to its own, to the statement, and to what takes them away.
        await write(`INSERT INTO ${second} VALUES (13, ${b}, 18, 'm', 2), (15, ${b}, 17, 'm', 2)`)
        await drained(await start('both'))
        await end()
        await write(
          `DELETE FROM ${second} WHERE id IN (13, 15)`,
          `INSERT INTO ${first} VALUES (13, ${a}, 17, 'n', 1), (14, ${a}, 18, 'n', 1), (19, ${a}, 19, 'n', 1)`,
          `CREATE INDEX by_name ON ${first} (name)`,
          `DELETE FROM ${first} WHERE id = 13`,
          `UPDATE ${first} SET u = NULL WHERE id = 14`,
          `INSERT INTO ${second} VALUES (13, ${b}, 18, 'm', 3), (15, ${b}, 17, 'm', 3)`,
        )
        for (const point of ['held.leftOut', ...(all ? (['held.tried', 'held.leftOut'] as const) : [])] as const) await killedAt(point)
        await drained(await start('both'))
        assert.equal(await world.assertEqual(), 8)
      } finally {
        await end()
        rmSync(dir, { recursive: true, force: true })
      }
    },
  )
}
