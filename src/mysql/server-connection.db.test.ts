/** The server's side of the protocol with clients that are not ours: everything through a relay to a real server. */
import assert from 'node:assert/strict'
import { execFileSync, spawn } from 'node:child_process'
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, test } from 'node:test'
import mysql2 from 'mysql2/promise'
import { flavours, sharedServer, uniqueName, type TestServer } from '../../test/kit/servers.ts'
import { storedPassword } from './auth-server.ts'
import { connect } from './connect.ts'
import { errno, isServerError } from './errors.ts'
import { testRelay, type TestRelay } from './test-relay.ts'

const users = { app: storedPassword("s'ecret"), two: storedPassword('zwei'), open: storedPassword('') }
const cli = ['/usr/bin/mariadb', '/usr/bin/mysql'].find((path) => existsSync(path))

function run(program: string, args: string[]): Promise<{ code: number | null; out: string; err: string }> {
  return new Promise((resolve, reject) => {
    const child = spawn(program, args, { stdio: ['ignore', 'pipe', 'pipe'] })
    let out = ''
    let err = ''
    child.stdout.on('data', (data: Buffer) => (out += data.toString()))
    child.stderr.on('data', (data: Buffer) => (err += data.toString()))
    child.on('error', reject)
    child.on('close', (code) => resolve({ code, out, err }))
  })
}

function rejection(promise: Promise<unknown>): Promise<unknown> {
  return promise.then(
    () => assert.fail('was to reject'),
    (error: unknown) => error,
  )
}

const dir = mkdtempSync(join(tmpdir(), 'sw-relay-'))
after(() => rmSync(dir, { recursive: true }))
execFileSync(
  'openssl',
  [
    'req',
    '-x509',
    '-newkey',
    'rsa:2048',
    '-nodes',
    '-keyout',
    join(dir, 'key'),
    '-out',
    join(dir, 'cert'),
    '-days',
    '2',
    '-subj',
    '/CN=localhost',
  ],
  { stdio: 'ignore' },
)
const files = { key: readFileSync(join(dir, 'key'), 'utf8'), cert: readFileSync(join(dir, 'cert'), 'utf8') }
writeFileSync(join(dir, 'load.txt'), Array.from({ length: 50_000 }, (_, i) => `${i}\tsome text ${i}\n`).join(''))

for (const flavour of flavours()) {
  for (const plugin of ['mysql_native_password', 'caching_sha2_password'] as const) {
    for (const tls of [false, true]) {
      describe(`${flavour}, ${plugin}${tls ? ', TLS' : ''}`, () => {
        let server: TestServer
        let relay: TestRelay
        let schema: string
        before(async () => {
          server = await sharedServer(flavour)
          schema = uniqueName('relay')
          await using admin = await connect(server.config)
          await admin.query(`CREATE DATABASE ${schema}`)
          relay = await testRelay({ backend: server.config, users, plugin, ...(tls ? { tls: files } : {}) })
        })
        after(() => relay[Symbol.asyncDispose]())

        const cliArgs = (user: string, password: string): string[] => [
          '--no-defaults',
          '-h127.0.0.1',
          `-P${relay.port}`,
          `-u${user}`,
          `--password=${password}`,
          tls ? '--ssl' : '--skip-ssl',
          '--local-infile=1',
          '-N',
        ]

        test('the mariadb command line', { skip: cli === undefined ? 'no command line client here' : false }, async () => {
          const program = cli as string
          const done = await run(program, [
            ...cliArgs('app', "s'ecret"),
            '-e',
            `use ${schema}; create table f (a int primary key, b text); load data local infile '${join(dir, 'load.txt')}' into table f; select count(*) from f; select a, b from f where a < 2 order by a; update f set b = null where a = 1`,
          ])
          assert.equal(done.err, '')
          assert.equal(done.out, '50000\n0\tsome text 0\n1\tsome text 1\n')
          assert.equal(relay.sessions.at(-1)?.tls, tls)
          const wrong = await run(program, [...cliArgs('app', 'wrong'), '-e', 'select 1'])
          assert.match(wrong.err, /ERROR 1045 .*Access denied for user 'app'/)
          assert.notEqual(wrong.code, 0)
          assert.match((await run(program, [...cliArgs('nobody', 'x'), '-e', 'select 1'])).err, /ERROR 1045/)
          assert.equal((await run(program, [...cliArgs('open', ''), '-e', 'select 7'])).out, '7\n')
          assert.match((await run(program, [...cliArgs('app', "s'ecret"), '-e', 'select nope'])).err, /ERROR 1054/)
          assert.match((await run(program, [...cliArgs('app', "s'ecret"), 'nosuchschema', '-e', 'select 1'])).err, /ERROR 1049/)
        })

        test('mysql2: text and prepared, a packet above 16 MiB, change of user', async () => {
          const c = await mysql2.createConnection({
            host: '127.0.0.1',
            port: relay.port,
            user: 'app',
            password: "s'ecret",
            database: schema,
            ...(tls ? { ssl: { rejectUnauthorized: false } } : {}),
          })
          try {
            assert.deepEqual((await c.query('SELECT 1 x, REPEAT("a", 3) y, NULL z'))[0], [{ x: 1, y: 'aaa', z: null }])
            for (let round = 0; round < 3; round++)
              assert.deepEqual((await c.execute('SELECT ? x, ? y', [1.5 + round, 'é']))[0], [{ x: 1.5 + round, y: 'é' }])
            const large = 'y'.repeat(17_000_000)
            const [rows] = (await c.query('SELECT ? z', [large])) as unknown as [{ z: string }[]]
            assert.ok(rows[0]?.z === large)
            assert.equal(((await rejection(c.query('SELECT nope'))) as { errno: number }).errno, 1054)
            await c.beginTransaction()
            await c.rollback()
            await c.changeUser({ user: 'two', password: 'zwei' })
            assert.deepEqual((await c.query('SELECT 2 x'))[0], [{ x: 2 }])
            assert.equal(((await rejection(c.changeUser({ user: 'two', password: 'wrong' }))) as { errno: number }).errno, 1045)
          } finally {
            c.destroy()
          }
        })

        test('our own client: prepared, LOCAL INFILE, pipelines, a slow reader, change of user', async () => {
          await using c = await connect({
            port: relay.port,
            user: 'app',
            password: "s'ecret",
            database: schema,
            deprecateEof: true,
            tls: tls ? { mode: 'required', options: { rejectUnauthorized: false } } : { mode: 'off' },
          })
          assert.equal(c.tls, tls)
          await c.query('DROP TABLE IF EXISTS g')
          await c.query('CREATE TABLE g (a INT PRIMARY KEY, b TEXT)')
          assert.equal(
            (
              await c.loadData(
                "LOAD DATA LOCAL INFILE 'x' INTO TABLE g",
                Array.from({ length: 100 }, (_, i) => Buffer.from(`${i}\t${'t'.repeat(1000)}\n`)),
              )
            ).affectedRows,
            100n,
          )
          const statement = await c.prepare('SELECT * FROM g WHERE a < ? ORDER BY a')
          const result = await statement.execute([3])
          assert.ok(result.kind === 'rows' && result.rows.length === 3)
          statement.close()
          assert.equal((await c.pipeline(Array.from({ length: 300 }, (_, i) => `SELECT ${i}`))).length, 300)
          let bytes = 0
          for await (const batch of await c.rows('SELECT a.b, b.b FROM g a, g b', { bufferBytesMax: 20_000 }))
            for (const row of batch.rows()) bytes += (row[0]?.length ?? 0) + (row[1]?.length ?? 0)
          assert.equal(bytes, 20_000_000)
          await c.changeUser({ user: 'two', password: 'zwei' })
          assert.equal(await c.value('SELECT 3'), '3')
          assert.ok(isServerError(await rejection(c.changeUser({ user: 'two', password: 'no' })), errno.accessDenied))
        })
      })
    }
  }
}
