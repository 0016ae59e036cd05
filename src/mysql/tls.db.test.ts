/** TLS against both flavours, with a certificate authority of our own. */
import assert from 'node:assert/strict'
import { after, describe, test } from 'node:test'
import { Certificates } from '../../test/kit/certificate.ts'
import { flavours, testServer } from '../../test/kit/servers.ts'
import { connect } from './connect.ts'

const certificates = new Certificates()
after(() => certificates.remove())
const { ca, caFile, cert, key } = certificates

for (const flavour of flavours()) {
  describe(flavour, () => {
    test('a server whose certificate is trusted is spoken to under TLS; one that is not trusted gets nothing', async () => {
      await using server = await testServer({
        flavour,
        extra: { 'ssl-ca': caFile, 'ssl-cert': cert, 'ssl-key': key },
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
