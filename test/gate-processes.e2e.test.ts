/** The gate as it is shipped: two processes on one port with TLS, accounts by the command line. Without a keyspace: what the gates answer themselves is enough. */
import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import type { TLSSocket } from 'node:tls'
import { promisify } from 'node:util'
import mysql from 'mysql2/promise'
import { ApiClient } from '../src/api/client.ts'
import { systemClock } from '../src/base/clock.ts'
import { findPort } from '../src/local/find-port.ts'
import { Tree } from '../src/main/tree.ts'
import { installsFile, projectDir, templatesDir } from '../src/main/up.ts'
import { Certificates } from './kit/certificate.ts'
import { oneFlavour } from './kit/servers.ts'
import { until } from './kit/until.ts'

const run = promisify(execFile)

test('two gates on one port with TLS; users, their rights and what they sent, by the command line', { timeout: 120_000 }, async () => {
  const dir = mkdtempSync(join(tmpdir(), 'sw-gates-'))
  const certificates = new Certificates()
  const tree = await Tree.start({
    dataDir: join(dir, 'data'),
    flavour: oneFlavour(),
    apiPort: await findPort(0),
    gatePort: await findPort(0),
    installsFile,
    templatesDir,
    clock: systemClock,
    gates: 2,
    gateArguments: ['--tls-cert', certificates.cert, '--tls-key', certificates.key],
    say: () => {},
  })
  try {
    const shardwright = async (...args: string[]): Promise<string> =>
      (await run(process.execPath, [join(projectDir, 'bin', 'shardwright.mjs'), '--api', tree.apiUrl, ...args])).stdout
    const file = join(dir, 'password')
    writeFileSync(file, 'secret\n')
    await shardwright(
      'user',
      'create',
      'app',
      '--password-file',
      file,
      '--plugin',
      'caching_sha2_password',
      '--require-tls',
      '--grant',
      'read on shop',
    )
    assert.match(await shardwright('user', 'list'), /app +read on shop +required +none +caching_sha2_password/)
    await assert.rejects(shardwright('user', 'create', 'app', '--password-file', file), /SW-CONTROL-001/)

    const connect = (more: mysql.ConnectionOptions = { ssl: { ca: certificates.ca } }): Promise<mysql.Connection> =>
      mysql.createConnection({ host: '127.0.0.1', port: tree.gatePort, user: 'app', password: 'secret', ...more })
    const first = await until('the gates to know the user', () => connect())
    await assert.rejects(connect({}), { errno: 3159 })
    const api = new ApiClient({ baseUrl: tree.apiUrl })
    const open = [first]
    await until('sessions at both gates', async () => {
      open.push(await connect())
      const gates = await api.call('listGates')
      return gates.length === 2 && gates.every(({ sessions, fresh }) => fresh && sessions > 0)
    })

    // Another certificate: sessions go on, new ones get it.
    certificates.replaceBy(certificates.make('renewed'))
    await until('the new certificate at both', async () => {
      const names = new Set<string>()
      for (let i = 0; i < 12; i++) {
        const c = await connect()
        names.add(String((c as unknown as { connection: { stream: TLSSocket } }).connection.stream.getPeerCertificate().subject.CN))
        await c.end()
      }
      return names.size === 1 && names.has('renewed')
    })
    for (const c of open) assert.equal(((await c.query('SHOW DATABASES'))[0] as unknown[]).length, 1)

    await shardwright('user', 'alter', 'app', '--grant', 'write on shop', '--max-rows', '10', '--scatter', 'refused')
    await until('the right at the next statement', async () => {
      const [rows] = await first.query({ sql: 'SHOW GRANTS', rowsAsArray: true })
      return /SELECT.*INSERT/.test(String((rows as unknown[])[1]))
    })
    const queries = await until('what was sent', async () => {
      const said = await shardwright('gate', 'queries', '--sort', 'count')
      return said.includes('SHOW DATABASES') ? said : null
    })
    assert.match(queries, /keyspace +count +scattered/)
    assert.equal((JSON.parse(await shardwright('gate', 'queries', '--format', 'json', '--scattered')) as unknown[]).length, 0)
    await shardwright('user', 'drop', 'app')
    await until(
      'the session to end',
      async () =>
        await first.query('SHOW DATABASES').then(
          () => false,
          () => true,
        ),
    )
    for (const c of open) c.destroy()
  } finally {
    await tree.stop()
    certificates.remove()
    rmSync(dir, { recursive: true, force: true })
  }
})
