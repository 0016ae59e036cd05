import assert from 'node:assert/strict'
import { test } from 'node:test'
import Fastify from 'fastify'
import { SwError } from '../base/errors.ts'
import { silentLog } from '../base/log.ts'
import { topicErrors } from '../topic/errors.ts'
import { guardAccess, isLoopback } from './access.ts'
import { buildHttp } from './http.ts'
import type { Handlers } from './http.ts'

type Given = { method?: 'GET' | 'POST'; headers?: Record<string, string> }

/** 200, or the code of the error. */
async function ask(token: string | undefined, { method = 'GET', headers = {} }: Given): Promise<string> {
  const app = Fastify()
  app.setErrorHandler((error, _request, reply) => reply.status(400).send({ code: error instanceof SwError ? error.code : String(error) }))
  guardAccess(app, token)
  app.get('/', async () => 'page')
  app.post('/', async () => 'changed')
  const response = await app.inject({ url: '/', method, headers })
  await app.close()
  return response.statusCode === 200 ? '200' : (response.json() as { code: string }).code
}

const token = 'a-token-of-24-characters'
const basic = (pair: string): string => `Basic ${Buffer.from(pair).toString('base64')}`

for (const [name, headers, expected] of [
  ['none', {}, 'SW-API-006'],
  ['a bearer token', { authorization: `Bearer ${token}` }, '200'],
  ['the beginning of it', { authorization: `Bearer ${token.slice(0, -1)}` }, 'SW-API-006'],
  ['a browser’s password', { authorization: basic(`anybody:${token}`) }, '200'],
  ['a wrong password', { authorization: basic(`anybody:${token}x`) }, 'SW-API-006'],
  ['the token as a name', { authorization: basic(`${token}:`) }, 'SW-API-006'],
  ['another scheme', { authorization: `Digest ${token}` }, 'SW-API-006'],
  ['a name of another machine, with the token', { authorization: `Bearer ${token}`, host: 'db-admin.example:15000' }, '200'],
] as const) {
  test(`an API with a token is asked with ${name}: ${expected}`, async () => assert.equal(await ask(token, { headers }), expected))
}

for (const [host, expected] of [
  ['127.0.0.1:15000', '200'],
  ['localhost:15000', '200'],
  ['LOCALHOST', '200'],
  ['[::1]:15000', '200'],
  ['attacker.example:15000', 'SW-API-009'],
  ['127.0.0.1.attacker.example', 'SW-API-009'],
  ['10.0.0.1:15000', 'SW-API-009'],
] as const) {
  test(`an API without a token is asked for ${host}: ${expected}`, async () =>
    assert.equal(await ask(undefined, { headers: { host } }), expected))
}

for (const [site, expected] of [
  ['cross-site', 'SW-API-008'],
  ['same-site', 'SW-API-008'],
  ['same-origin', '200'],
  ['none', '200'],
] as const) {
  test(`a change that a browser calls ${site}: ${expected}, with and without a token`, async () => {
    const headers = { 'sec-fetch-site': site }
    assert.equal(await ask(undefined, { method: 'POST', headers }), expected)
    assert.equal(await ask(token, { method: 'POST', headers: { ...headers, authorization: basic(`me:${token}`) } }), expected)
  })
}

test('what listens on these is reached from this machine only', () => {
  for (const host of ['localhost', '127.0.0.1', '127.9.0.1', '::1']) assert.ok(isLoopback(host), host)
  for (const host of ['0.0.0.0', '::', '10.0.0.1', 'example.com', '', '127.0.0.1.example.com']) assert.ok(!isLoopback(host), host)
})

test('a password in the address of a topic is shown to nobody: neither in what is told of a fleet nor in an error', async () => {
  const fleet = { name: 'insights', topic: 'kafka://a:1/t?sasl=plain&user=u&password=geheim%21&tls=true' }
  const handlers = new Proxy({} as Handlers, {
    get: (_, name) => async () => {
      if (name === 'listFleets') return [fleet]
      throw topicErrors.unreachable({ topic: 't', reason: `no answer from ${fleet.topic}`, where: 'a:1' })
    },
  })
  const app = buildHttp({ handlers, log: silentLog, version: '1' })
  const [list, error] = [await app.inject({ url: '/api/v1/fleets' }), await app.inject({ url: '/api/v1/keyspaces' })]
  await app.close()
  for (const { body } of [list, error]) assert.ok(!body.includes('geheim') && body.includes('password=…'), body)
  assert.equal((list.json() as (typeof fleet)[])[0]?.topic, 'kafka://a:1/t?sasl=plain&user=u&password=…&tls=true')
})
