/** Preflight: each thing that must stop a switch, made on purpose, found and named; and all of them at once. */
import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
import { systemClock } from '../base/clock.ts'
import { readSessionDefaults } from '../mysql/session-defaults.ts'
import { keys } from '../topology/keys.ts'
import type { ServerSecret, ShardRecord, StreamReport, VdiffReport } from '../topology/records.ts'
import { put, readRecord } from '../topology/typed.ts'
import { preflight } from './check.ts'
import { sideNotes } from './check-sides.ts'
import { defaultSwitchLimits, type SwitchLimits } from './context.ts'
import type { Preflight } from './effects.ts'
import { planSwitch } from './plan.ts'
import { flavourAvailable } from './testkit/servers.ts'
import { schemaOf, World } from './testkit/world.ts'

for (const flavour of ['mariadb', 'mysql'] as const) {
  describe(`preflight on ${flavour}`, { skip: !flavourAvailable(flavour) }, () => {
    let world: World
    before(async () => {
      world = await World.start(flavour)
      await world.stopMover()
    })
    after(() => world.stop())

    async function look(allowDifferences: string[] = [], more: Partial<SwitchLimits> = {}): Promise<Preflight> {
      const plan = await planSwitch(world.store, { keyspace: 'app', workflow: 'w', shards: null })
      const limits = { ...defaultSwitchLimits, freshMs: 60_000, ...more }
      return preflight({ store: world.store, clock: systemClock }, plan, limits, allowDifferences)
    }
    async function found(allowDifferences: string[] = []): Promise<string[]> {
      const { blockers } = await look(allowDifferences)
      return blockers.map((blocker) => `${blocker.code} ${blocker.message}`)
    }
    async function one(code: string, words: RegExp): Promise<void> {
      const list = await found()
      assert.equal(list.length, 1, list.join('\n'))
      assert(list[0]?.startsWith(code), list[0])
      assert.match(list[0] ?? '', words)
    }
    const reportKey = (): string => keys.report(world.workflowUid, 'forward')
    async function withReport(change: (report: StreamReport) => StreamReport, body: () => Promise<void>): Promise<void> {
      const report = await readRecord<StreamReport>(world.store, reportKey())
      assert(report !== null)
      await world.store.commit([], [put(reportKey(), change(report.value))])
      await body()
      await world.store.commit([], [put(reportKey(), report.value)])
    }

    test('nothing in the way: nothing found', async () => assert.deepEqual(await found(), []))

    test('promise 6: unknown is not zero: no lag, an old lag, an old report, none at all', async () => {
      const lag = { transactions: 0, bytes: 0, markerAgeMs: 0 }
      const all =
        (value: StreamReport['targets'][number]['lag']) =>
        (report: StreamReport): StreamReport => ({ ...report, targets: report.targets.map((t) => ({ ...t, lag: value })) })
      await withReport(all(null), async () =>
        assert.deepEqual(
          (await found()).map((text) => text.slice(0, 13)),
          ['SW-SWITCH-013', 'SW-SWITCH-013'],
        ),
      )
      await withReport(all({ ...lag, atMs: Date.now() - 120_000 }), async () =>
        assert.deepEqual(
          (await found()).map((text) => text.slice(0, 13)),
          ['SW-SWITCH-013', 'SW-SWITCH-013'],
        ),
      )
      await withReport(all({ ...lag, atMs: Date.now(), markerAgeMs: null }), async () =>
        assert.deepEqual(
          (await found()).map((text) => text.slice(0, 13)),
          ['SW-SWITCH-013', 'SW-SWITCH-013'],
        ),
      )
      await withReport(all({ ...lag, atMs: Date.now(), markerAgeMs: 999_999 }), async () =>
        assert.deepEqual(
          (await found()).map((text) => text.slice(0, 13)),
          ['SW-SWITCH-014', 'SW-SWITCH-014'],
        ),
      )
      await withReport(
        (report) => ({ ...report, atMs: Date.now() - 120_000 }),
        () => one('SW-SWITCH-029', /last reported/),
      )
      await withReport(
        (report) => ({ ...report, state: 'copying' }),
        () => one('SW-SWITCH-009', /copy is not complete/),
      )
    })

    test('differences that the last vdiff found, unless allowed by table', async () => {
      const table = { name: 't', state: 'done', rowsCompared: 1, missing: 1, extra: 0, misplaced: 0, different: 0, samples: [] } as const
      const report: VdiffReport = {
        v: 1,
        uid: 'd',
        atMs: 1,
        startedAtMs: 1,
        endedAtMs: 2,
        state: 'different',
        error: null,
        rowsCompared: 1,
        rowsEstimated: 1,
        rowsPerSecond: null,
        etaMs: null,
        tables: [{ ...table, samples: [] }],
        repairedRows: 0,
        waiting: null,
        serves: null,
        cursors: {},
      }
      await world.store.commit([], [put(keys.vdiffReport(world.workflowUid, 'd'), report)])
      await one('SW-SWITCH-015', /differences in t/)
      assert.deepEqual(await found(['t']), [])
      await world.store.commit(
        [],
        [
          put(keys.vdiffReport(world.workflowUid, 'e'), {
            ...report,
            uid: 'e',
            endedAtMs: 3,
            state: 'clean',
            tables: [{ ...table, samples: [], missing: 0 }],
          }),
        ],
      )
      assert.deepEqual(await found(), [])
      // One that compared other tables only says nothing about this one.
      const others = { ...report, uid: 'f', startedAtMs: 4, endedAtMs: 5, state: 'clean' as const, tables: [] }
      await world.store.commit(
        [],
        [{ key: keys.vdiffReport(world.workflowUid, 'e'), value: undefined }, put(keys.vdiffReport(world.workflowUid, 'f'), others)],
      )
      await one('SW-SWITCH-015', /\(d\) found differences in t/)
      await world.store.commit(
        [],
        ['d', 'f'].map((uid) => ({ key: keys.vdiffReport(world.workflowUid, uid), value: undefined })),
      )
    })

    test('a table of the serving side that no stream moves would be left behind', async () => {
      await using f = await world.admin('f')
      await f.query('CREATE TABLE app__.late (id INT PRIMARY KEY)')
      await one('SW-SWITCH-034', /late/)
      await f.query('DROP TABLE app__.late')
    })

    test('1.11: a table that could not be followed any more, on either side', async () => {
      for (const shard of ['-', '-80']) {
        const schema = schemaOf(shard)
        await using conn = await world.admin(world.serverOf(shard))
        await conn.query(`ALTER TABLE ${schema}.t ENGINE=MyISAM`)
        await one('SW-SWITCH-052', new RegExp(`${schema}\\.t .*kept by MyISAM`))
        await conn.query(`ALTER TABLE ${schema}.t ENGINE=InnoDB`)
        if (flavour === 'mysql') continue
        await conn.query(
          `ALTER TABLE ${schema}.t ADD up INT NULL, ADD CONSTRAINT away FOREIGN KEY (up) REFERENCES t (id) ON DELETE SET NULL`,
        )
        await one('SW-SWITCH-052', /foreign key away says ON DELETE SET NULL/)
        await conn.query(`ALTER TABLE ${schema}.t DROP FOREIGN KEY away, DROP COLUMN up`)
      }
      assert.deepEqual(await found(), [])
    })

    test('a side with fewer replicas than the one that serves is refused, unless allowed; on a way back it is told', async () => {
      const key = keys.shard('app', '-')
      const shard = await readRecord<ShardRecord>(world.store, key)
      assert(shard !== null)
      await world.store.commit([], [put(key, { ...shard.value, replicas: ['r'] })])
      for (const replicas of ['required', 'fewer-allowed', 'told'] as const) {
        const { blockers, notes } = await look([], { replicas })
        const refused = blockers.find((error) => error.code === 'SW-SWITCH-040')
        if (replicas !== 'required') assert.equal(refused, undefined)
        else assert.match(refused?.message ?? '', /fewer replicas .* up to 1: -80 0, 80- 0/)
        assert.equal(
          notes.some((note) => /fewer replicas .* up to 1: -80 0, 80- 0/.test(note)),
          replicas !== 'required',
        )
      }
      await world.store.commit([], [put(key, shard.value)])
    })

    test('what the side that is to serve lacks is listed: accounts, grants of every kind, events, routines, connections', async () => {
      await using f = await world.admin('f')
      await using n = await world.admin('n')
      const plan = await planSwitch(world.store, { keyspace: 'app', workflow: 'w', shards: null })
      assert.deepEqual(await sideNotes(world.store, plan), [])
      await f.query("CREATE USER report@'%' IDENTIFIED BY 'x'")
      await f.query("GRANT SELECT ON app__.* TO report@'%'")
      await f.query("GRANT PROCESS ON *.* TO app@'%'")
      await f.query('CREATE PROCEDURE app__.nightly() SELECT 1')
      await f.query("GRANT INSERT ON app__.t TO app@'%'")
      await f.query("GRANT UPDATE (n) ON app__.t TO app@'%'")
      await f.query("GRANT EXECUTE ON PROCEDURE app__.nightly TO app@'%'")
      await f.query('CREATE EVENT app__.sweep ON SCHEDULE EVERY 1 DAY DISABLE DO SELECT 1')
      await n.query('SET GLOBAL max_connections = 33')
      const notes = await sideNotes(world.store, plan)
      assert.match(notes[0] ?? '', /^n lacks the accounts report@%/)
      assert.match(notes[1] ?? '', /global grants: app@% PROCESS$/)
      assert.match(notes[2] ?? '', /columns or routines .*: app@% EXECUTE on PROCEDURE nightly, app@% INSERT on t, app@% UPDATE on t\.n$/)
      assert.match(notes[3] ?? '', /n lacks the events sweep /)
      assert.match(notes[4] ?? '', /routines nightly/)
      assert.match(notes[5] ?? '', /n takes 33 connections/)
      assert.equal(notes.length, 6)
      // As a managed service may have it: one view is not for our account.
      await f.query("CREATE USER weak@'%' IDENTIFIED BY 'x'")
      for (const row of await f.allText('SHOW TABLES FROM mysql')) {
        const [table] = Object.values(row)
        if (table !== 'procs_priv') await f.query(`GRANT SELECT ON mysql.\`${table}\` TO weak@'%'`)
      }
      const secret = await readRecord<ServerSecret>(world.store, keys.secret('f'))
      assert(secret !== null)
      await world.store.commit([], [put(keys.secret('f'), { ...secret.value, admin: { user: 'weak', password: 'x' } })])
      const [unknown, ...others] = await sideNotes(world.store, plan)
      await world.store.commit([], [put(keys.secret('f'), secret.value)])
      await f.query("DROP USER weak@'%'")
      assert.match(unknown ?? '', /^what of this is on f is unknown, and not compared: grants on routines \(.*procs_priv/)
      assert(
        others.some((note) => /^n lacks the accounts .*report@%/.test(note)),
        others.join('\n'),
      )
      assert.match(others.at(-1) ?? '', /n takes 33 connections/)
      for (const sql of [
        "REVOKE INSERT, UPDATE (n) ON app__.t FROM app@'%'",
        "REVOKE EXECUTE ON PROCEDURE app__.nightly FROM app@'%'",
        'DROP EVENT app__.sweep',
        "DROP USER report@'%'",
        "REVOKE PROCESS ON *.* FROM app@'%'",
        'DROP PROCEDURE app__.nightly',
      ])
        await f.query(sql)
    })

    test('sessions that have another time zone, isolation or sql_mode by default there refuse a switch, unless allowed by name; what else differs is told', async () => {
      await using n = await world.admin('n')
      const told = ({ notes }: Preflight): string[] => notes.filter((note) => note.startsWith('sessions have another'))
      // The same zone by another name.
      if ((await readSessionDefaults(n)).values['time_zone']?.startsWith('SYSTEM (UTC)')) await n.query("SET GLOBAL time_zone = '+00:00'")
      assert.deepEqual(await found(), [])
      const [modes, isolation] = [await n.value('SELECT @@GLOBAL.sql_mode'), 'SET GLOBAL TRANSACTION ISOLATION LEVEL']
      for (const [variable, set, values, back] of [
        ['time_zone', "SET GLOBAL time_zone = '+05:30'", /f has .*; n has \+05:30, now 05:30:00 from UTC/, 'SET GLOBAL time_zone = SYSTEM'],
        ['transaction_isolation', `${isolation} READ COMMITTED`, /n has READ-COMMITTED/, `${isolation} REPEATABLE READ`],
        ['sql_mode', "SET GLOBAL sql_mode = ''", /f has .*STRICT_TRANS_TABLES.*; n has none/, `SET GLOBAL sql_mode = '${modes}'`],
      ] as const) {
        await n.query(set)
        await one('SW-SWITCH-055', new RegExp(`another ${variable} .*${values.source}`))
        const allowed = await look([variable])
        assert.deepEqual(allowed.blockers, [])
        assert.match(told(allowed).join(), new RegExp(`another ${variable} .*${values.source}.*allowed by name`))
        const undone = await look([], { replicas: 'told' })
        assert.deepEqual([undone.blockers, told(undone).length], [[], 1], 'nothing of it stands in the way of undoing')
        await n.query(back)
      }
      await n.query('SET GLOBAL div_precision_increment = 9')
      const { blockers, notes } = await look()
      assert.deepEqual([blockers, told({ blockers, notes }).length], [[], 1], notes.join('\n'))
      await n.query('SET GLOBAL div_precision_increment = 4')
      assert.deepEqual(told(await look()), [])
    })

    test('1.10: accounts of either side that may write past the binlog are told, by grant and by role, once each; ours are not', async () => {
      const may = flavour === 'mysql' ? 'SESSION_VARIABLES_ADMIN' : 'BINLOG ADMIN'
      const text = (id: string, accounts: string): string =>
        `${id}: ${accounts} may SET sql_log_bin=0: no stream sees what is written so, only a vdiff does`
      const told = async (): Promise<string[]> => (await look()).notes.filter((note) => /sql_log_bin/.test(note)).toSorted()
      assert.deepEqual(await told(), [])
      await using f = await world.admin('f')
      await using n = await world.admin('n')
      for (const sql of [
        "CREATE USER direct@'%' IDENTIFIED BY 'x'",
        "CREATE USER member@'10.0.0.1' IDENTIFIED BY 'x'",
        'CREATE ROLE hides',
        `GRANT ${may} ON *.* TO hides`,
        "GRANT hides TO member@'10.0.0.1'",
        `GRANT ${may} ON *.* TO direct@'%'`,
      ])
        await f.query(sql)
      await n.query("CREATE USER other@'%' IDENTIFIED BY 'x'")
      await n.query(`GRANT ${may} ON *.* TO other@'%'`)
      assert.deepEqual(await told(), [text('f', 'direct@%, member@10.0.0.1'), text('n', 'other@%')])
      await n.query("ALTER USER other@'%' ACCOUNT LOCK")
      await f.query("DROP USER direct@'%'")
      assert.deepEqual(await told(), [text('f', 'member@10.0.0.1')])
      await f.query('DROP ROLE hides')
      await f.query("DROP USER member@'10.0.0.1'")
      await n.query("DROP USER other@'%'")
      assert.deepEqual(await told(), [])
    })

    test('what stands on the servers', async () => {
      await using f = await world.admin('f')
      await using n = await world.admin('n')
      const trying = async (make: () => Promise<unknown>, undo: () => Promise<unknown>, code: string, words: RegExp): Promise<void> => {
        await make()
        await one(code, words)
        await undo()
      }
      await trying(
        () => f.query('CREATE TRIGGER app__.tr BEFORE INSERT ON app__.t FOR EACH ROW SET NEW.n = 1'),
        () => f.query('DROP TRIGGER app__.tr'),
        'SW-SWITCH-021',
        /app__\.t.*tr/,
      )
      await f.query('SET GLOBAL event_scheduler = ON')
      await trying(
        () => f.query('CREATE EVENT app__.ev ON SCHEDULE EVERY 1 DAY DO DELETE FROM app__.t WHERE id < 0'),
        () => f.query('DROP EVENT app__.ev'),
        'SW-SWITCH-020',
        /app__\.ev/,
      )
      await f.query('SET GLOBAL event_scheduler = OFF')
      await trying(
        async () => {
          await using client = await world.client(world.f)
          await client.query("XA START 'x1'")
          await client.query("INSERT INTO app__.t VALUES (1, 'xa', 0)")
          await client.query("XA END 'x1'")
          await client.query("XA PREPARE 'x1'")
        },
        () => f.query("XA ROLLBACK 'x1'"),
        'SW-SWITCH-018',
        /x1/,
      )
      await trying(
        () => n.query("ALTER USER app@'%' ACCOUNT UNLOCK"),
        () => n.query("ALTER USER app@'%' ACCOUNT LOCK"),
        'SW-SWITCH-005',
        /app@%/,
      )
      await trying(
        () => n.query('SET GLOBAL binlog_row_image = MINIMAL'),
        () => n.query('SET GLOBAL binlog_row_image = FULL'),
        'SW-SWITCH-016',
        /binlog_row_image/,
      )
      await trying(
        () => f.query("REVOKE DELETE ON *.* FROM sw_mover@'%'"),
        () => f.query("GRANT DELETE ON *.* TO sw_mover@'%'"),
        'SW-SWITCH-017',
        /sw_mover cannot write t/,
      )
      // Under a name of its own: MariaDB's SHOW REPLICA STATUS does not tell of it.
      const [follow, word] = flavour === 'mysql' ? ['REPLICATION SOURCE', 'SOURCE'] : ["MASTER 'x'", 'MASTER']
      await trying(
        () => n.query(`CHANGE ${follow} TO ${word}_HOST = '127.0.0.9', ${word}_PORT = 1, ${word}_USER = 'x'`),
        () => n.query(flavour === 'mysql' ? 'RESET REPLICA ALL' : "RESET SLAVE 'x' ALL"),
        'SW-SWITCH-023',
        /127\.0\.0\.9/,
      )
      await f.query('SET GLOBAL read_only = 1')
      const closed = await look()
      assert.deepEqual(closed.blockers, [])
      assert(
        closed.notes.some((note) => note.startsWith('f serves and is read_only')),
        `closed by somebody else, and told: ${closed.notes.join('; ')}`,
      )
      await f.query('SET GLOBAL read_only = 0')
      const passes = flavour === 'mysql' ? 'CONNECTION_ADMIN' : 'READ_ONLY ADMIN'
      await f.query("CREATE USER repl@'%' IDENTIFIED BY 'x'")
      await f.query("GRANT REPLICATION SLAVE ON *.* TO repl@'%'")
      await trying(
        () => f.query(`GRANT ${passes} ON *.* TO repl@'%'`),
        () => f.query("DROP USER repl@'%'"),
        'SW-SWITCH-019',
        /repl@%/,
      )
      await f.query("CREATE USER repl@'%' IDENTIFIED BY 'x'")
      await f.query("GRANT REPLICATION SLAVE ON *.* TO repl@'%'")
      // GRANT PROXY is for who was granted it.
      await f.query("INSERT INTO mysql.proxies_priv (Host, User, Proxied_host, Proxied_user, Grantor) VALUES ('%', 'repl', '%', 'app', '')")
      const { notes } = await look()
      assert(
        notes.some((note) => /f: repl@% is not locked, and may log in as app@%/.test(note)),
        `a proxy user is listed: ${notes.join('; ')}`,
      )
      await f.query("DELETE FROM mysql.proxies_priv WHERE User = 'repl'")
      await f.query("DROP USER repl@'%'")
    })

    test('a server that also holds what must go on serving; a server that is down; several at once', async () => {
      const other: ShardRecord = {
        v: 1,
        keyspace: 'other',
        name: '-',
        uid: 'other',
        serverId: 'f',
        schema: 'other',
        madeBy: null,
        provisioned: false,
      }
      await world.store.commit([], [put(keys.shard('other', '-'), other)])
      await one('SW-SWITCH-022', /other\/-/)
      await world.n.kill9()
      assert.deepEqual((await found()).map((text) => text.slice(0, 13)).sort(), ['SW-SWITCH-022', 'SW-SWITCH-024'])
      await world.n.up()
      await world.store.commit([], [{ key: keys.shard('other', '-'), value: undefined }])
      assert.deepEqual(await found(), [], 'and closed still, after its restart')
    })
  })
}
