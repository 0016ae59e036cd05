import assert from 'node:assert/strict'
import { copyFileSync, rmSync, writeFileSync } from 'node:fs'
import { after, test } from 'node:test'
import type { TLSSocket } from 'node:tls'
import mysql from 'mysql2/promise'
import { Certificates } from '../../test/kit/certificate.ts'
import { silentLog } from '../base/log.ts'
import { addUser, MemoryStore, startGate } from '../gate/testkit/world.ts'
import { TlsFiles, tlsPaths } from './tls-files.ts'

const certificates = new Certificates()
after(() => certificates.remove())

test('another certificate in the files is taken up without a session ending; files that do not fit together are not', async () => {
  const store = new MemoryStore()
  await addUser(store, 'app', 'secret')
  const files = new TlsFiles(certificates, silentLog)
  const { gate, port } = await startGate(store, {}, silentLog, 'gate-1', { secureContext: () => files.current })
  const client = (): Promise<mysql.Connection> =>
    mysql.createConnection({ host: '127.0.0.1', port, user: 'app', password: 'secret', ssl: { ca: certificates.ca } })
  const subject = (c: mysql.Connection): string =>
    String((c as unknown as { connection: { stream: TLSSocket } }).connection.stream.getPeerCertificate().subject.CN)
  try {
    const first = await client()
    assert.equal(subject(first), 'server')
    const next = certificates.make('next')

    copyFileSync(next.cert, certificates.cert)
    files.look()
    const between = await client()
    assert.equal(subject(between), 'server', 'a certificate without its key is not used')

    copyFileSync(next.key, certificates.key)
    files.look()
    const second = await client()
    assert.equal(subject(second), 'next')

    writeFileSync(certificates.cert, 'garbage')
    files.look()
    rmSync(certificates.key)
    files.look()
    const third = await client()
    assert.equal(subject(third), 'next')
    for (const c of [first, between, second, third]) {
      assert.equal(((await c.query('SHOW DATABASES'))[0] as unknown[]).length, 1, 'sessions go on')
      await c.end()
    }
  } finally {
    await gate.stop()
  }
})

test('what can not be used is said at the start, by name', () => {
  assert.throws(() => new TlsFiles({ cert: '/nowhere', key: '/nowhere' }, silentLog), { code: 'SW-MAIN-007', message: /\/nowhere/ })
  assert.throws(() => tlsPaths('a', undefined), { code: 'SW-MAIN-007' })
  assert.equal(tlsPaths(undefined, undefined), null)
})
