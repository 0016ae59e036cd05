/**
 * Promises 1, 3, with real deaths: one mover process after the other is killed by SIGKILL, each at another crash point of one stream's life, from its first position to
 * statements and XA transactions of the source, under writes. What is reported of the copy never falls; at the end the rows are compared. A point that is not met fails. (Each point in more places, within one
 * process: `crash.db.test.ts`, `crash-ddl.db.test.ts`.)
 */
import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, test } from 'node:test'
import { bumpControlMarker } from '../binlog/control-schema.ts'
import { connect } from '../mysql/connect.ts'
import { isServerError } from '../mysql/errors.ts'
import { besideEachOther } from '../../test/kit/beside.ts'
import { testServer, type TestServer } from '../../test/kit/servers.ts'
import { until } from '../../test/kit/until.ts'
import { keys } from '../topology/keys.ts'
import type { PaceRecord, ServerRecord, ServerSecret, StreamReport } from '../topology/records.ts'
import { SqliteStore } from '../topology/sqlite.ts'
import { put, readRecord } from '../topology/typed.ts'
import { crashPoints, type CrashPoint } from './crash-points.ts'
import type { MoverConfig } from './config.ts'
import { execOf } from './testkit/samples.ts'
import { fill, workload, World } from './testkit/world.ts'

type Stage = {
  readonly point: CrashPoint
  /** The copy stands still meanwhile. */
  readonly paused?: true
  readonly config?: Partial<MoverConfig>
  /** What happens on the source before the process starts. */
  readonly first?: 'ddl' | 'xa' | 'marker'
}

/** In the order in which one stream can come to them. */
const stages: readonly Stage[] = [
  { point: 'start.beforePosition' },
  { point: 'start.positionOnSomeTargets' },
  { point: 'takeOver.afterEpoch' },
  // From here on it has begun: what dies before takes another place to begin at.
  { point: 'copy.afterRead' },
  { point: 'xa.kept', paused: true, first: 'xa' },
  // Where commits of XA transactions are proven otherwise than by markers.
  { point: 'xa.marked', paused: true, first: 'xa' },
  { point: 'copy.beforeLandCommit' },
  { point: 'copy.landedOnSomeTargets' },
  { point: 'copy.beforeKeys' },
  { point: 'keys.built' },
  { point: 'copy.afterKeys' },
  { point: 'round.afterIntent' },
  { point: 'round.afterDeletes' },
  { point: 'round.afterSomeLanes' },
  { point: 'round.beforePosition' },
  { point: 'round.afterPosition' },
  { point: 'part.afterSome', config: { partBytesMax: 500 } },
  { point: 'marker.beforeReport', first: 'marker' },
  { point: 'ddl.noted', first: 'ddl' },
  { point: 'ddl.executed', first: 'ddl' },
  { point: 'ddl.done', first: 'ddl' },
  { point: 'ddl.definedOnSomeTargets', first: 'ddl' },
  { point: 'xa.forgotten', first: 'xa' },
]

/**
 * Where the two flavours differ on our way: landings, keys, rounds in lanes and in parts, statements, XA transactions, and where one begins. Each costs the start of a process; all by SHARDWRIGHT_CRASH_ALL=1.
 */
const onMysql: readonly CrashPoint[] = [
  'start.positionOnSomeTargets',
  // Without it the next takes another place to begin at, behind its transaction.
  'copy.afterRead',
  'xa.kept',
  'copy.beforeLandCommit',
  'copy.beforeKeys',
  'round.afterSomeLanes',
  'part.afterSome',
  'ddl.executed',
  'xa.forgotten',
]
const all = process.env['SHARDWRIGHT_CRASH_ALL'] !== undefined

const servers: TestServer[] = []
after(() => Promise.all(servers.map((server) => server[Symbol.asyncDispose]())))

besideEachOther('movers that are killed', (flavour) => {
  test(`promises 1, 3: ${flavour}, movers killed by SIGKILL, one at each crash point: the same rows`, { timeout: 240_000 }, async () => {
    // Those of rows held back need a second source: `sigkill-held.db.test.ts`.
    const points = crashPoints.filter((point) => !point.startsWith('held.'))
    assert.deepEqual(stages.map(({ point }) => point).toSorted(), points.toSorted(), 'every point has its stage')
    const server = await testServer({ flavour })
    servers.push(server)
    await using world = await World.create({ flavour, sources: ['-'], targets: ['-80', '80-'] }, { source: server, target: server })
    await fill(world, 0, 800, 2000)
    const schema = world.sourceRefs[0]!.schema
    const dir = mkdtempSync(join(tmpdir(), 'sw-sigkill-'))
    const file = join(dir, 'topology.sqlite')
    await using store = new SqliteStore(file)
    await putServers(store, server)
    let record = execOf(world.record(0))
    const load = workload(world, 0, 7, { ids: 2000, uniques: 100, pauseMs: 8 })
    let number = 0
    const happens: Record<NonNullable<Stage['first']>, () => Promise<unknown>> = {
      marker: () => bumpControlMarker(world.s),
      ddl: () => world.s.query(`ALTER TABLE ${schema}.item ADD KEY k${++number} (v, u)`),
      xa: async () => {
        for (;;) {
          const xid = `'${world.prefix}x${++number}'`
          await using one = await connect({ ...server.config, database: schema })
          await one.query(`XA START ${xid}`)
          try {
            await one.query('UPDATE item SET v = v + 1 WHERE id % 9 = 1')
          } catch (error) {
            // A deadlock with the load: it ends with its connection.
            if (isServerError(error) && error.kind === 'deadlock') continue
            throw error
          }
          for (const sql of [`XA END ${xid}`, `XA PREPARE ${xid}`, `XA COMMIT ${xid}`]) await one.query(sql)
          return
        }
      },
    }
    const start = async (stage: Stage | null) => {
      const limits = stage?.paused === true ? { pausedUntilMs: Date.now() + 1e9 } : {}
      const failpoints = stage === null ? {} : { [stage.point]: 'kill' as const }
      record = { ...record, generation: record.generation + 1, options: { ...record.options, failpoints } }
      const pace: PaceRecord = { v: 1, workflowUid: record.workflowUid, limits }
      await store.commit(
        [],
        [
          put(keys.pace(record.workflowUid), pace),
          put(keys.stream(record.workflowUid, record.uid), record),
          // Who died had a lease: that it runs out is `mover.db.test.ts`'s matter.
          { key: keys.streamOwner(record.workflowUid), value: undefined },
        ],
      )
      const script = join(import.meta.dirname, 'testkit', 'mover-process.ts')
      const config = JSON.stringify({ oneLaneChangesMax: 1, ...stage?.config })
      return spawn(process.execPath, [script, file, `mover-${record.generation}`, config], { stdio: ['ignore', 'ignore', 'inherit'] })
    }
    const report = async (): Promise<StreamReport | undefined> =>
      (await readRecord<StreamReport>(store, keys.report(record.workflowUid, record.uid)))?.value
    let done = [0, 0, 0]
    const neverFalls = async (where: string): Promise<void> => {
      const { rowsDone = 0, bytesDone = 0, chunksDone = 0 } = (await report())?.copy ?? {}
      const now = [rowsDone, bytesDone, chunksDone]
      assert.ok(
        now.every((figure, of) => figure >= (done[of] ?? 0)),
        `${where}: rows, bytes and chunks ${now.join()} after ${done.join()}`,
      )
      done = now
    }
    try {
      for (const stage of stages) {
        if (flavour === 'mysql' && (stage.point === 'xa.marked' || !(all || onMysql.includes(stage.point)))) continue
        if (stage.first !== undefined) await happens[stage.first]()
        const child = await start(stage)
        const limit = AbortSignal.timeout(60_000)
        try {
          const [, signal] = (await once(child, 'exit', { signal: limit })) as [number | null, NodeJS.Signals | null]
          assert.equal(signal, 'SIGKILL', stage.point)
          await neverFalls(stage.point)
        } catch (error) {
          child.kill('SIGKILL')
          if (!limit.aborted) throw error
          assert.fail(`${stage.point} was not met; last report: ${JSON.stringify(await report())}`)
        }
      }
      const last = await start(null)
      try {
        await load.stop()
        const marker = await bumpControlMarker(world.s)
        await until('all to be applied', async () => {
          const now = await report()
          assert.notEqual(now?.state, 'failed', JSON.stringify(now?.error))
          return (
            now?.state === 'running' &&
            now.generation === record.generation &&
            now.targets.every(({ controlMarker }) => controlMarker >= marker)
          )
        })
        await neverFalls('at the end')
        assert.ok(
          done.every((figure) => figure > 0),
          `rows, bytes and chunks ${done.join()}`,
        )
        assert.ok((await world.assertEqual()) > 100)
        const shown = async (of: string): Promise<string[]> =>
          ((await world.s.allText(`SHOW CREATE TABLE ${of}.item`))[0]?.['Create Table'] ?? '').split(/,?\n/).toSorted()
        for (const target of world.targetRefs) assert.deepEqual(await shown(target.schema), await shown(schema))
      } finally {
        last.kill('SIGKILL')
      }
    } finally {
      await load.stop()
      rmSync(dir, { recursive: true, force: true })
    }
  })
})

async function putServers(store: SqliteStore, server: TestServer): Promise<void> {
  for (const id of ['source', 'target']) {
    const { flavour, version, host, port } = server
    const record: ServerRecord = { v: 1, id, flavour, version, host, port, socketPath: null, provisioned: true, dataDir: null }
    const account = { user: server.config.user, password: server.config.password }
    const secret: ServerSecret = { v: 1, admin: account, mover: account, gate: account }
    await store.commit([], [put(keys.server(id), record), put(keys.secret(id), secret)])
  }
}
