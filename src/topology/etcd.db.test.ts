import { until } from '../../test/kit/until.ts'
import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, test } from 'node:test'
import { randomBytes } from 'node:crypto'
import { etcdMissing, testEtcd } from '../../test/kit/etcd.ts'
import type { TestEtcd } from '../../test/kit/etcd.ts'
import { FaultProxy } from '../../test/kit/fault-proxy.ts'
import { storeConformance } from './conformance.ts'
import { EtcdClient } from './etcd-client.ts'
import { EtcdStore } from './etcd.ts'
import type { EtcdStoreOptions } from './etcd.ts'

const skip = etcdMissing() ?? false

function storeAt(ports: readonly number[], more: Partial<EtcdStoreOptions> = {}): EtcdStore {
  return new EtcdStore({
    endpoints: ports.map((port) => ({ host: '127.0.0.1', port })),
    prefix: `p-${randomBytes(4).toString('hex')}/`,
    tls: null,
    credentials: null,
    ...more,
  })
}

if (skip === false)
  storeConformance('etcd', async () => {
    const etcd = await testEtcd()
    const a = storeAt([etcd.port], { prefix: 'conformance/' })
    const b = storeAt([etcd.port], { prefix: 'conformance/' })
    const close = async (): Promise<void> => {
      await a[Symbol.asyncDispose]()
      await b[Symbol.asyncDispose]()
      await etcd[Symbol.asyncDispose]()
    }
    return { a, b, close }
  })
else test('topology store: etcd', { skip }, () => undefined)

describe('topology store: etcd itself', { skip }, () => {
  let etcd: TestEtcd
  before(async () => {
    etcd = await testEtcd()
  })
  after(() => etcd[Symbol.asyncDispose]())

  test('a commit whose answer is lost is sent again and read back: done once, told as done', async () => {
    await using proxy = await FaultProxy.start({ host: '127.0.0.1', port: etcd.port })
    const prefix = 'lost/'
    await using direct = storeAt([etcd.port], { prefix })
    await using store = storeAt([proxy.port], { prefix, requestMs: 500 })
    const first = await direct.commit([], [{ key: 'x', value: 1 }])
    assert(first.ok)
    proxy.loseAnswers()
    const committing = store.commit([{ key: 'x', version: first.revision }], [{ key: 'x', value: 2 }])
    while ((await direct.get('x'))?.value !== 2);
    proxy.heal()
    const done = await committing
    assert(done.ok, 'it was done, so it is told as done')
    assert.equal((await direct.get('x'))?.version, done.revision)
  })

  test('a lost commit that somebody else overwrote is unknown; one without a condition on what it puts too, and is not sent again', async () => {
    await using proxy = await FaultProxy.start({ host: '127.0.0.1', port: etcd.port })
    const prefix = 'unknown/'
    await using direct = storeAt([etcd.port], { prefix })
    await using store = storeAt([proxy.port], { prefix, requestMs: 500 })
    const first = await direct.commit([], [{ key: 'x', value: 1 }])
    assert(first.ok)
    proxy.loseAnswers()
    const committing = store.commit([{ key: 'x', version: first.revision }], [{ key: 'x', value: 2 }])
    while ((await direct.get('x'))?.value !== 2);
    await direct.commit([], [{ key: 'x', value: 3 }])
    proxy.heal()
    await assert.rejects(committing, { code: 'SW-TOPOLOGY-002', class: 'unknown' })
    proxy.loseAnswers()
    await assert.rejects(store.commit([], [{ key: 'y', value: 1 }]), { code: 'SW-TOPOLOGY-002', class: 'unknown' })
    const once = await direct.get('y')
    proxy.heal()
    assert.equal((await store.get('y'))?.version, once?.version)
  })

  test('a lost commit that never arrived is refused as a conflict once it can never come true', async () => {
    await using proxy = await FaultProxy.start({ host: '127.0.0.1', port: etcd.port })
    const prefix = 'never/'
    await using direct = storeAt([etcd.port], { prefix })
    await using store = storeAt([proxy.port], { prefix, requestMs: 500 })
    const first = await direct.commit([], [{ key: 'x', value: 1 }, { key: 'leader', value: 'me' }]) // prettier-ignore
    assert(first.ok)
    proxy.blackhole()
    const conditions = [{ key: 'x', version: first.revision }, { key: 'leader', version: first.revision }] // prettier-ignore
    const committing = store.commit(conditions, [{ key: 'x', value: 2 }])
    await direct.commit([], [{ key: 'leader', value: 'you' }])
    proxy.heal('reset')
    assert.deepEqual(await committing, { ok: false, conflicts: ['leader'] })
    assert.equal((await direct.get('x'))?.value, 1)
  })

  test('several endpoints: reads, commits, leases and watches go on at the next one when the first says nothing any more', async () => {
    await using one = await FaultProxy.start({ host: '127.0.0.1', port: etcd.port })
    await using two = await FaultProxy.start({ host: '127.0.0.1', port: etcd.port })
    const prefix = 'failover/'
    await using direct = storeAt([etcd.port], { prefix })
    await using store = storeAt([one.port, two.port], { prefix, requestMs: 400 })
    const stop = new AbortController()
    const watch = store.watch('', stop.signal)[Symbol.asyncIterator]()
    await watch.next()
    const lease = await store.grantLease(5_000)
    assert.equal(two.connections, 0, 'the first serves while it answers')
    one.blackhole()
    await direct.commit([], [{ key: 'x', value: 1 }])
    const seen = await Promise.race([watch.next(), rejectAfter(8_000, 'the watch never went on')])
    assert.equal((seen.value as { entries: ReadonlyMap<string, { value: unknown }> }).entries.get('x')?.value, 1)
    assert.equal((await store.get('x'))?.value, 1)
    await lease.renew()
    assert((await store.commit([], [{ key: 'y', value: 1 }])).ok)
    stop.abort()
    await watch.return?.()
  })

  test('a watch goes on over a restart of etcd, a cut connection and compacted history; no deletion is missed', async () => {
    await using proxy = await FaultProxy.start({ host: '127.0.0.1', port: etcd.port })
    const prefix = 'resume/'
    await using direct = storeAt([etcd.port], { prefix })
    await using store = storeAt([proxy.port], { prefix, requestMs: 400 })
    await direct.commit([], [{ key: 'gone', value: 1 }, { key: 'stays', value: 1 }]) // prettier-ignore
    const stop = new AbortController()
    let newest: ReadonlyMap<string, { value: unknown }> = new Map()
    const reading = (async () => {
      for await (const snapshot of store.watch('', stop.signal)) newest = snapshot.entries
    })()
    const shows = async (key: string, value: unknown): Promise<void> => {
      const limit = Date.now() + 10_000
      while (newest.get(key)?.value !== value) {
        assert(Date.now() < limit, `the watch never showed ${key} as ${String(value)}`)
        await new Promise((resolve) => setTimeout(resolve, 5))
      }
    }
    await shows('gone', 1)
    proxy.cut()
    await direct.commit([], [{ key: 'a', value: 1 }])
    await shows('a', 1)
    await etcd.kill9()
    await etcd.restart()
    // Over a connection that ended with the old process the outcome of a commit without a condition would be unknown.
    await direct.get('a')
    await direct.commit([], [{ key: 'a', value: 2 }])
    await shows('a', 2)
    proxy.blackhole()
    await direct.commit([], [{ key: 'gone', value: undefined }])
    const last = await direct.commit([], [{ key: 'a', value: 3 }])
    assert(last.ok)
    const compacted = await fetch(`http://127.0.0.1:${etcd.port}/v3/kv/compaction`, {
      method: 'POST',
      body: JSON.stringify({ revision: String(last.revision) }),
    })
    assert.equal(compacted.status, 200)
    proxy.heal('reset')
    await shows('a', 3)
    assert.deepEqual([...newest.keys()], ['a', 'stays'])
    stop.abort()
    await reading
  })

  test('an etcd that was put back to an older copy is refused: versions would come back', async () => {
    await using older = await testEtcd()
    await using proxy = await FaultProxy.start({ host: '127.0.0.1', port: etcd.port })
    await using store = storeAt([proxy.port], { prefix: 'older/' })
    for (let i = 0; i < 5; i++) await store.commit([], [{ key: 'x', value: i }])
    proxy.target = { host: '127.0.0.1', port: older.port }
    proxy.cut()
    await assert.rejects(
      async () => {
        for (;;) await store.get('x')
      },
      { code: 'SW-TOPOLOGY-005', message: /older copy/ },
    )
  })

  test('with nobody there a read says so after its patience, and a commit that it did nothing', async () => {
    const free = 1
    await using store = storeAt([free], { patienceMs: 100 })
    await assert.rejects(store.get('x'), { code: 'SW-TOPOLOGY-010', class: 'transient' })
    await assert.rejects(store.commit([], [{ key: 'x', value: 1 }]), { code: 'SW-TOPOLOGY-010', class: 'transient' })
  })
})

test(
  'etcd with TLS and accounts: the right ones work, also after etcd forgot our token; the wrong ones are refused by name',
  {
    skip: skip !== false ? skip : existsSync('/usr/bin/openssl') ? false : 'openssl is not installed',
  },
  async () => {
    const dir = mkdtempSync(join(tmpdir(), 'sw-etcd-tls-'))
    const stop = new AbortController()
    try {
      const file = (name: string): string => join(dir, name)
      execFileSync('openssl', ['req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes', '-days', '2', '-subj', '/CN=localhost', '-addext', 'subjectAltName=IP:127.0.0.1,DNS:localhost', '-keyout', file('key.pem'), '-out', file('cert.pem')], { stdio: 'ignore' }) // prettier-ignore
      const ca = readFileSync(file('cert.pem'), 'utf8')
      await using etcd = await testEtcd({ scheme: 'https', flags: ['--cert-file', file('cert.pem'), '--key-file', file('key.pem')] })
      const admin = new EtcdClient({ endpoints: [{ host: '127.0.0.1', port: etcd.port }], tls: { ca }, credentials: null })
      await admin.call('/v3/auth/user/add', { name: 'root', password: 'right' }, 5_000)
      await admin.call('/v3/auth/role/add', { name: 'root' }, 5_000)
      await admin.call('/v3/auth/user/grant', { user: 'root', role: 'root' }, 5_000)
      await admin.call('/v3/auth/enable', {}, 5_000)
      admin.close()
      const credentials = { user: 'root', password: 'right' }
      await using store = storeAt([etcd.port], { tls: { ca }, credentials })
      let seen: unknown = null
      const reading = (async () => {
        for await (const snapshot of store.watch('', stop.signal)) seen = snapshot.entries.get('x')?.value
      })()
      assert((await store.commit([], [{ key: 'x', value: 1 }])).ok)
      await etcd.kill9()
      await etcd.restart()
      // Where nothing is wanted of a key, a request on the connection of before says that its outcome is not known.
      assert((await until('a commit', () => store.commit([], [{ key: 'x', value: 2 }]))).ok)
      const limit = Date.now() + 10_000
      while (seen !== 2) {
        assert(Date.now() < limit, 'the watch never went on')
        await new Promise((resolve) => setTimeout(resolve, 10))
      }
      stop.abort()
      await reading
      await using stranger = storeAt([etcd.port], { tls: { ca }, credentials: { user: 'root', password: 'wrong' } })
      await assert.rejects(stranger.get('x'), { code: 'SW-TOPOLOGY-012', class: 'fatal', message: /authentication failed/ })
      await using nobody = storeAt([etcd.port], { tls: { ca } })
      await assert.rejects(nobody.commit([], [{ key: 'x', value: 3 }]), { code: 'SW-TOPOLOGY-012' })
      await using distrusting = storeAt([etcd.port], { tls: {}, credentials, patienceMs: 100 })
      await assert.rejects(distrusting.get('x'), { code: 'SW-TOPOLOGY-010', message: /certificate/ })
    } finally {
      stop.abort()
      rmSync(dir, { recursive: true })
    }
  },
)

function rejectAfter(ms: number, what: string): Promise<never> {
  return new Promise((_resolve, reject) => setTimeout(() => reject(new Error(what)), ms).unref())
}
