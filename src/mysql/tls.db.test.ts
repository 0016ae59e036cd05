/** TLS against both flavours, with a certificate authority of our own. */
import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { chmodSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, describe, test } from 'node:test'
import { flavours, testServer } from '../../test/kit/servers.ts'
import { connect } from './connect.ts'

const dir = mkdtempSync(join(tmpdir(), 'sw-tls-'))
chmodSync(dir, 0o755)
after(() => rmSync(dir, { recursive: true }))
const openssl = (...args: string[]): void => void execFileSync('openssl', args, { stdio: 'ignore', cwd: dir })
openssl('req', '-x509', '-newkey', 'rsa:2048', '-nodes', '-keyout', 'ca.key', '-out', 'ca.pem', '-days', '2', '-subj', '/CN=test authority')
openssl('req', '-newkey', 'rsa:2048', '-nodes', '-keyout', 'server.key', '-out', 'server.csr', '-subj', '/CN=localhost')
writeFileSync(join(dir, 'names'), 'subjectAltName=DNS:localhost,IP:127.0.0.1')
openssl(
  'x509',
  '-req',
  '-in',
  'server.csr',
  '-CA',
  'ca.pem',
  '-CAkey',
  'ca.key',
  '-CAcreateserial',
  '-out',
  'server.pem',
  '-days',
  '2',
  '-extfile',
  'names',
)
const ca = readFileSync(join(dir, 'ca.pem'))

for (const flavour of flavours()) {
  describe(flavour, () => {
    test('a server whose certificate is trusted is spoken to under TLS; one that is not trusted gets nothing', async () => {
      await using server = await testServer({
        flavour,
        extra: { 'ssl-ca': join(dir, 'ca.pem'), 'ssl-cert': join(dir, 'server.pem'), 'ssl-key': join(dir, 'server.key') },
      })
      await using admin = await connect(server.config)
      assert.equal(admin.tls, false)
      await admin.query("CREATE USER tls IDENTIFIED BY 'secret' REQUIRE SSL")

      await using c = await connect({ ...server.config, user: 'tls', password: 'secret', tls: { mode: 'required', options: { ca } } })
      assert.equal(c.tls, true)
      assert.notEqual((await c.allText("SHOW STATUS LIKE 'Ssl_cipher'"))[0]?.['Value'], '')
      const large = 'x'.repeat(3_000_000)
      assert.equal(await c.value(`SELECT '${large}'`), large)
      let rows = 0
      for await (const batch of await c.rows(
        'SELECT a.COLUMN_NAME FROM information_schema.COLUMNS a, information_schema.COLUMNS b LIMIT 50000',
        { bufferBytesMax: 10_000 },
      ))
        rows += batch.length
      assert.equal(rows, 50_000)

      await using preferred = await connect({ ...server.config, user: 'tls', password: 'secret', tls: { mode: 'preferred' } })
      assert.equal(preferred.tls, true)
      await assert.rejects(connect({ ...server.config, user: 'tls', password: 'secret', tls: { mode: 'required' } }), {
        code: 'SW-MYSQL-004',
      })
      await assert.rejects(connect({ ...server.config, user: 'tls', password: 'secret' }), { code: 'SW-MYSQL-001', errno: 1045 })
    })
  })
}
