import assert from 'node:assert/strict'
import { test } from 'node:test'
import { isEtcdLocation, parseEtcdLocation } from './etcd-location.ts'

test('an etcd location: hosts, ports, prefix, user and TLS files', () => {
  assert.deepEqual(parseEtcdLocation('etcd://127.0.0.1:2379/app'), {
    endpoints: [{ host: '127.0.0.1', port: 2379 }],
    prefix: 'app/',
    user: null,
    tls: null,
  })
  assert.deepEqual(parseEtcdLocation('etcds://me@a,b:1,[::1]:2/x/y/?ca=/ca.pem&servername=etcd'), {
    endpoints: [
      { host: 'a', port: 2379 },
      { host: 'b', port: 1 },
      { host: '::1', port: 2 },
    ],
    prefix: 'x/y/',
    user: 'me',
    tls: { ca: '/ca.pem', cert: null, key: null, servername: 'etcd' },
  })
  assert.equal(parseEtcdLocation('etcd://a').prefix, 'shardwright/')
  assert.equal(isEtcdLocation('/data/topology.sqlite'), false)
})

test('what is not of the form is refused with the form, a password and a misspelt option too', () => {
  for (const bad of [
    'etcd://',
    'etcd:///x',
    'etcd://a:b/x',
    'etcd://me:secret@a/x',
    'etcd://a/x?tsl=1',
    'etcd://a/x?cert=/c',
    'etcd://a:0/x',
  ])
    assert.throws(() => parseEtcdLocation(bad), { code: 'SW-TOPOLOGY-011', class: 'user' }, bad)
})
