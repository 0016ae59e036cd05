/** What the two flavours are said to do, done on real servers. */
import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { flavours, sharedServer, testServer, uniqueName } from '../../../test/kit/servers.ts'
import { systemClock } from '../../base/clock.ts'
import { connect } from '../connect.ts'
import { errno, isServerError } from '../errors.ts'
import type { Connection } from '../connection.ts'
import { quoteString } from '../../sql/quote.ts'
import { flavourOf, supportOf } from './flavour.ts'
import { binlogProblems, binlogSkippers } from './shared.ts'

function rejection(promise: Promise<unknown>): Promise<unknown> {
  return promise.then(
    () => assert.fail('was to reject'),
    (error: unknown) => error,
  )
}

for (const name of flavours()) {
  describe(name, () => {
    test('identity, positions and settings of the binlog', async () => {
      await using server = await testServer({ flavour: name })
      await using c = await connect(server.config)
      const flavour = flavourOf(c)
      const identity = await flavour.identity(c)
      assert.ok(identity.uuid.length > 10 && identity.serverId > 0)
      assert.ok(Math.abs(identity.startedAtS - Date.now() / 1000) < 120)
      assert.equal(identity.ordersCommits, true)

      const before = await flavour.executedPosition(c)
      const end = await flavour.binlogEnd(c)
      await c.query('CREATE DATABASE one')
      assert.notEqual(await flavour.executedPosition(c), before)
      assert.ok((await flavour.binlogEnd(c))?.file === end?.file && ((await flavour.binlogEnd(c))?.position ?? 0) > (end?.position ?? 0))
      await c.pipeline(['FLUSH BINARY LOGS', 'CREATE DATABASE two'])
      const here = await flavour.binlogEnd(c)
      const flushed = await flavour.executedPosition(c)
      // A binlog that the server has not let go of yet is passed over in silence: asked again.
      let purged = ''
      for (let attempt = 0; attempt < 100 && purged === ''; attempt++) {
        await c.query(`PURGE BINARY LOGS TO '${here?.file}'`)
        purged = await flavour.purgedPosition(c)
        if (purged === '') await systemClock.sleep(50)
      }
      assert.notEqual(purged, '')
      assert.notEqual(purged, flushed, 'what stands in the binlog that is left is not purged')

      const settings = await flavour.binlogSettings(c)
      assert.equal(settings.logBin, true)
      assert.equal(settings.format, 'ROW')
      // As they are for a server of tests, and worse.
      await c.pipeline([
        "SET GLOBAL binlog_row_image='MINIMAL'",
        'SET GLOBAL sync_binlog=0',
        'SET GLOBAL innodb_flush_log_at_trx_commit=2',
        ...(name === 'mysql'
          ? ["SET GLOBAL binlog_row_value_options='PARTIAL_JSON'", 'SET GLOBAL binlog_order_commits=OFF']
          : ["SET GLOBAL binlog_format='MIXED'"]),
      ])
      const found = async (): Promise<string[]> =>
        binlogProblems(await flavour.binlogSettings(c)).map(({ setting, value, wanted }) => `${setting} ${value} (${wanted})`)
      assert.deepEqual(await found(), [
        ...(name === 'mysql' ? [] : ['binlog_format MIXED (ROW)']),
        'binlog_row_image MINIMAL (FULL)',
        'sync_binlog 0 (1)',
        'innodb_flush_log_at_trx_commit 2 (1)',
        ...(name === 'mysql' ? ['binlog_order_commits OFF (ON)', 'binlog_row_value_options PARTIAL_JSON (empty)'] : []),
      ])
      if (name === 'mysql') assert.equal((await flavour.identity(c)).ordersCommits, false)
      await c.pipeline([...flavour.binlogFixes])
      assert.deepEqual(await found(), [])
      if (name === 'mysql') {
        for (const mode of ['ON_PERMISSIVE', 'OFF_PERMISSIVE', 'OFF']) await c.query(`SET GLOBAL gtid_mode=${mode}`)
        assert.deepEqual(await found(), ['gtid_mode OFF (ON)'])
        for (const mode of ['OFF_PERMISSIVE', 'ON_PERMISSIVE', 'ON']) await c.query(`SET GLOBAL gtid_mode=${mode}`)
        assert.deepEqual(await found(), [])
      }
      const uuid = identity.uuid
      await c.close()
      await server.stop()
      await server.restart({ 'binlog-ignore-db': 'scratch', 'sync-binlog': 1, 'innodb-flush-log-at-trx-commit': 1 })
      await using again = await connect(server.config)
      assert.equal((await flavour.identity(again)).uuid, uuid, 'the identity outlives a restart')
      assert.deepEqual(
        binlogProblems(await flavour.binlogSettings(again)).map(({ setting, value }) => `${setting} ${value}`),
        ['binlog filters scratch'],
      )
    })

    test('from where it replicates is told of every channel, and all of it is stopped and forgotten', async () => {
      await using server = await testServer({ flavour: name })
      await using c = await connect(server.config)
      const flavour = flavourOf(c)
      assert.deepEqual(await flavour.replications(c), [])
      const [verb, word] = name === 'mysql' ? ['REPLICATION SOURCE', 'SOURCE'] : ['MASTER', 'MASTER']
      for (const channel of ['', "it's"]) {
        const named = channel === '' ? '' : quoteString(channel)
        const [before, behind] = name === 'mysql' ? ['', named && ` FOR CHANNEL ${named}`] : [named && `${named} `, '']
        await c.query(
          `CHANGE ${verb} ${before}TO ${word}_HOST = '127.0.0.9', ${word}_PORT = ${1 + channel.length}, ${word}_USER = 'x'${behind}`,
        )
      }
      assert.equal((await flavour.replications(c)).length, 2)
      for (const what of ['start', 'stop', 'forget'] as const) await flavour.replicate(c, what)
      assert.deepEqual(await flavour.replications(c), [])
    })

    test('without a binlog that is what is said', async () => {
      await using server = await testServer({ flavour: name, binlog: false })
      await using c = await connect(server.config)
      const flavour = flavourOf(c)
      assert.ok(binlogProblems(await flavour.binlogSettings(c)).some((problem) => problem.setting === 'log_bin'))
      assert.equal(await flavour.binlogEnd(c), null)
      await flavour.purgedPosition(c)
    })

    test('our accounts can do what they are for; the fence holds the gate, not the mover; a lock shuts out new sessions', async () => {
      await using server = await testServer({ flavour: name })
      await using c = await connect(server.config)
      const flavour = flavourOf(c)
      const password = "p'w\\"
      for (const role of ['admin', 'mover', 'gate'] as const) {
        const statements = flavour.accountStatements(role, { user: `sw_${role}`, password })
        await c.pipeline(statements)
        await c.pipeline(statements)
      }
      await c.pipeline(['CREATE DATABASE app', 'CREATE TABLE app.t (id INT PRIMARY KEY)'])
      const accounts = new Map((await flavour.accounts(c)).map((account) => [account.user, account]))
      assert.deepEqual(accounts.get('sw_gate')?.passesReadOnly, [])
      assert.equal(accounts.get('sw_gate')?.maySkipBinlog, false)
      assert.equal(accounts.get('sw_mover')?.passesReadOnly.length, 1)
      assert.ok((accounts.get('root')?.passesReadOnly.length ?? 0) > 0)
      assert.equal(accounts.get('sw_gate')?.locked, false)

      const log = (role: string) => connect({ ...server.config, user: `sw_${role}`, password, database: 'app' })
      await using admin = await log('admin')
      await using gate = await log('gate')
      await using mover = await connect({
        ...server.config,
        user: 'sw_mover',
        password,
        charset: 'binary',
        sessionSql: flavour.moverSessionSql,
      })
      await gate.query('INSERT INTO t VALUES (1)')
      await admin.query('SET GLOBAL read_only=1')
      const fenced = await rejection(gate.query('INSERT INTO t VALUES (2)'))
      assert.ok(isServerError(fenced, errno.optionPreventsStatement) && fenced.kind === 'readOnly' && fenced.class === 'transient')
      await mover.query('INSERT INTO app.t VALUES (3)')
      await mover.query('CREATE DATABASE made_by_mover')
      assert.deepEqual(await flavour.xaRecover(admin), [])
      assert.ok((await flavour.binlogEnd(mover)) !== null, 'the mover may read the position')

      await admin.query(flavour.lockAccount({ user: 'sw_gate', host: '%' }))
      assert.equal((await flavour.accounts(admin)).find((account) => account.user === 'sw_gate')?.locked, true)
      const locked = await rejection(log('gate'))
      assert.ok(isServerError(locked, flavour.accountLockedErrno) && locked.kind === 'accountLocked')
      assert.equal(await gate.value('SELECT COUNT(*) FROM t'), '2', 'a session that lives goes on')
      await gate.reset()
      await admin.query(flavour.killConnection(gate.threadId))
      await rejection(gate.query('SELECT 1'))
      await admin.pipeline([flavour.unlockAccount({ user: 'sw_gate', host: '%' }), 'SET GLOBAL read_only=0'])
      await using back = await log('gate')
      await back.query('INSERT INTO t VALUES (4)')
      await c.pipeline(flavour.accountStatements('gate', { user: 'late', password: 'x' }, { locked: true }))
      assert.ok(
        isServerError(await rejection(connect({ ...server.config, user: 'late', password: 'x' })), flavour.accountLockedErrno),
        'made locked',
      )
    })

    test('versions: this one is tested, an old one is refused', async () => {
      const server = await sharedServer(name)
      await using c = await connect(server.config)
      assert.equal(supportOf(c), 'tested')
      const old = {
        flavour: name,
        versionNumber: name === 'mysql' ? 50744 : 100339,
        serverVersion: 'old',
        server: 'x',
      } as unknown as Connection
      assert.throws(() => supportOf(old), { code: 'SW-MYSQL-014' })
    })

    test('roles: their privileges count for who has them, and they are no accounts', async () => {
      const server = await sharedServer(name)
      await using c = await connect(server.config)
      const flavour = flavourOf(c)
      const [role, user] = [uniqueName('role'), uniqueName('user')]
      await c.pipeline([
        `CREATE ROLE ${role}`,
        `CREATE USER ${user} IDENTIFIED BY 'x'`,
        `GRANT ${name === 'mysql' ? 'CONNECTION_ADMIN' : 'READ_ONLY ADMIN'} ON *.* TO ${role}`,
        `GRANT ${role} TO ${user}`,
      ])
      const accounts = await flavour.accounts(c)
      assert.equal(
        accounts.some((account) => account.user === role),
        false,
      )
      assert.equal(accounts.find((account) => account.user === user)?.passesReadOnly.length, 1)
    })

    test('1.10: who may turn the binlog off for a session is told, by a grant, a role, a role of a role, or one that all have; and nobody else', async () => {
      const server = await sharedServer(name)
      await using c = await connect(server.config)
      const flavour = flavourOf(c)
      const prefix = uniqueName('bin')
      const by: Record<string, string[]> =
        name === 'mysql'
          ? {
              super: ['SUPER'],
              system: ['SYSTEM_VARIABLES_ADMIN'],
              session: ['SESSION_VARIABLES_ADMIN'],
              binlog: ['BINLOG_ADMIN'],
              all: ['ALL PRIVILEGES'],
              reads: ['SELECT', 'REPLICATION SLAVE', 'CONNECTION_ADMIN'],
            }
          : {
              super: ['SUPER'],
              binlog: ['BINLOG ADMIN'],
              replay: ['BINLOG REPLAY', 'BINLOG MONITOR'],
              all: ['ALL PRIVILEGES'],
              reads: ['SELECT', 'REPLICATION SLAVE', 'READ_ONLY ADMIN'],
            }
      const strongest = name === 'mysql' ? 'SESSION_VARIABLES_ADMIN' : 'BINLOG ADMIN'
      const users = [...Object.keys(by), 'none', 'role', 'deep', 'locked'].map((user) => `${prefix}${user}`)
      for (const user of users) await c.query(`CREATE USER ${user} IDENTIFIED BY 'x'`)
      for (const [user, grants] of Object.entries(by)) await c.query(`GRANT ${grants.join()} ON *.* TO ${prefix}${user}`)
      const [role, above] = [uniqueName('role'), uniqueName('role')]
      await c.pipeline([
        `CREATE ROLE ${role}, ${above}`,
        `GRANT ${strongest} ON *.* TO ${role}`,
        `GRANT ${role} TO ${above}`,
        `GRANT ${role} TO ${prefix}role`,
        `GRANT ${above} TO ${prefix}deep`,
        `GRANT ${strongest} ON *.* TO ${prefix}locked`,
        `ALTER USER ${prefix}locked ACCOUNT LOCK`,
      ])
      const mayDo = async (user: string, takes: string | null): Promise<boolean> => {
        await using session = await connect({ ...server.config, user, password: 'x' })
        if (takes !== null) await session.query(`SET ROLE ${takes}`)
        try {
          await session.query('SET SESSION sql_log_bin=0')
          return true
        } catch (error) {
          if (!isServerError(error)) throw error
          return false
        }
      }
      const told = async (): Promise<string[]> =>
        (await flavour.accounts(c)).filter(({ user, maySkipBinlog }) => user.startsWith(prefix) && maySkipBinlog).map(({ user }) => user)
      const may: string[] = []
      for (const user of users.filter((one) => !one.endsWith('locked')))
        if (await mayDo(user, user.endsWith('role') ? role : user.endsWith('deep') ? above : null)) may.push(user)
      assert.ok(may.includes(`${prefix}role`) && may.includes(`${prefix}deep`) && may.length < users.length - 2, may.join())
      assert.deepEqual((await told()).filter((user) => !user.endsWith('locked')).toSorted(), may.toSorted(), 'as the server does')
      assert.ok((await told()).includes(`${prefix}locked`))

      const accounts = (await flavour.accounts(c)).filter(({ user }) => user.startsWith(prefix))
      const text = binlogSkippers('s1', accounts, new Set([`${prefix}all`])) ?? ''
      assert.match(text, /^s1: .* may SET sql_log_bin=0: no stream sees/)
      const listed = text.slice(4, text.indexOf(' may SET')).split(', ')
      assert.deepEqual(
        listed.toSorted(),
        may
          .filter((user) => user !== `${prefix}all`)
          .map((user) => `${user}@%`)
          .toSorted(),
      )
      const harmless = accounts.filter(({ user }) => user === `${prefix}none` || user === `${prefix}locked`)
      assert.equal(binlogSkippers('s1', harmless, new Set()), null, 'a locked account does nothing')

      // What everybody has without being granted it.
      const all = name === 'mysql' ? `SET GLOBAL mandatory_roles = '${role}'` : `GRANT ${strongest} ON *.* TO PUBLIC`
      await c.query(all)
      try {
        assert.equal(await mayDo(`${prefix}none`, name === 'mysql' ? role : null), true)
        assert.ok((await told()).includes(`${prefix}none`))
      } finally {
        await c.query(name === 'mysql' ? "SET GLOBAL mandatory_roles = ''" : `REVOKE ${strongest} ON *.* FROM PUBLIC`)
      }
      assert.equal((await told()).includes(`${prefix}none`), false)
    })

    test('sessions, open transactions, prepared XA transactions, definers', async () => {
      const server = await sharedServer(name)
      await using c = await connect(server.config)
      await using other = await connect(server.config)
      const flavour = flavourOf(c)
      const schema = uniqueName('fl')
      await c.pipeline([
        `CREATE DATABASE ${schema}`,
        `CREATE TABLE ${schema}.t (id INT PRIMARY KEY)`,
        `CREATE TRIGGER ${schema}.tr BEFORE INSERT ON ${schema}.t FOR EACH ROW SET @x = 1`,
      ])
      await other.pipeline(['START TRANSACTION', `INSERT INTO ${schema}.t VALUES (1), (2)`])
      const session = (await flavour.sessions(c, 'whole')).find((candidate) => candidate.id === other.threadId)
      assert.equal(session?.transaction?.rowsModified, 2)
      assert.equal((await flavour.sessions(c, 'whole')).find((candidate) => candidate.id === c.threadId)?.transaction ?? null, null)
      await other.query('ROLLBACK')
      await other.pipeline([
        `XA START x'6100ff', x'62', 7`,
        `INSERT INTO ${schema}.t VALUES (3)`,
        `XA END x'6100ff', x'62', 7`,
        `XA PREPARE x'6100ff', x'62', 7`,
      ])
      assert.deepEqual(await flavour.xaRecover(c), [{ formatId: '7', gtrid: Buffer.from('6100ff', 'hex'), bqual: Buffer.from('b') }])
      await other.query(`XA ROLLBACK x'6100ff', x'62', 7`)
      assert.deepEqual(
        (await flavour.definers(c)).filter((object) => object.schema === schema).map((object) => [object.kind, object.name]),
        [['TRIGGER', 'tr']],
      )
      await flavour.proxies(c)
    })

    test('the newest row is read under a share lock', async () => {
      const server = await sharedServer(name)
      await using c = await connect(server.config)
      assert.equal(
        await c.value(`SELECT 1 ${flavourOf(c).lockInShareMode === 'FOR SHARE' ? 'FROM DUAL FOR SHARE' : 'FROM DUAL LOCK IN SHARE MODE'}`),
        '1',
      )
    })
  })
}
