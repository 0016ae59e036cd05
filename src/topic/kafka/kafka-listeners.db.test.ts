// TLS, SASL, transactions and compression against a real broker, when Java and Maven are there; otherwise one test that says what is missing.
import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { pbkdf2Sync, randomBytes } from 'node:crypto'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, test } from 'node:test'
import { Connection, Producer, alterUserScramCredentialsV0 } from '@platformatic/kafka'
import { kafkaForTests, startKafka } from '../../../test/kit/kafka.ts'
import { findPort } from '../../local/find-port.ts'
import type { LocalKafka } from '../../local/local-kafka.ts'
import { createTopic, openProducer, openTopic } from '../open.ts'

const { install, missing } = await kafkaForTests()
const password = 's3cret&+ word'

/** A certificate of our own for 127.0.0.1, signed by a CA of our own. */
function certificates(dir: string): { ca: string; key: string; chain: string } {
  const run = (...args: string[]): void => void execFileSync('openssl', args, { cwd: dir, stdio: 'ignore' })
  const ec = ['-newkey', 'rsa:2048', '-nodes']
  run('req', '-x509', ...ec, '-days', '2', '-subj', '/CN=test-ca', '-keyout', 'ca.key', '-out', 'ca.pem')
  run('req', ...ec, '-subj', '/CN=broker', '-keyout', 'broker.key', '-out', 'broker.csr')
  writeFileSync(join(dir, 'san'), 'subjectAltName=IP:127.0.0.1,DNS:localhost\n')
  run(
    'x509',
    '-req',
    '-in',
    'broker.csr',
    '-CA',
    'ca.pem',
    '-CAkey',
    'ca.key',
    '-CAcreateserial',
    '-days',
    '2',
    '-extfile',
    'san',
    '-out',
    'broker.pem',
  )
  writeFileSync(join(dir, 'keystore.pem'), readFileSync(join(dir, 'broker.key'), 'utf8') + readFileSync(join(dir, 'broker.pem'), 'utf8'))
  return { ca: join(dir, 'ca.pem'), key: join(dir, 'broker.key'), chain: join(dir, 'keystore.pem') }
}

/** SCRAM accounts are the broker's own records; made over the listener that needs no password. */
async function makeScramUser(kafka: LocalKafka, user: string): Promise<void> {
  const connection = new Connection('test')
  await connection.connect('127.0.0.1', kafka.nodes[0]?.port ?? 0)
  const iterations = 4096
  const credential = (mechanism: 1 | 2): { name: string; mechanism: number; iterations: number; salt: Buffer; saltedPassword: Buffer } => {
    const salt = randomBytes(16)
    const [length, hash] = mechanism === 1 ? ([32, 'sha256'] as const) : ([64, 'sha512'] as const)
    return { name: user, mechanism, iterations, salt, saltedPassword: pbkdf2Sync(password, salt, iterations, length, hash) }
  }
  // One change of a user in a request.
  for (const mechanism of [1, 2] as const) await alterUserScramCredentialsV0.api.async(connection, [], [credential(mechanism)])
  await connection.close()
}

async function readAll(url: string): Promise<string[]> {
  await using topic = await openTopic(url)
  const ends = await topic.endOffsets()
  const stop = new AbortController()
  const positions = new Map([...(await topic.startOffsets())].map(([partition, offset]) => [partition, { offset }]))
  const values: string[] = []
  const next = new Map<number, bigint>()
  for await (const batch of topic.read(positions, { bytesMax: 1 << 20, signal: stop.signal })) {
    for (const record of batch.records) values.push(String(record.value))
    for (const [partition, { offset }] of batch.next) next.set(partition, offset)
    if ([...ends].every(([partition, end]) => end === 0n || (next.get(partition) ?? 0n) >= end)) break
  }
  stop.abort()
  return values
}

if (install === null) {
  test('Kafka: TLS, SASL, transactions, compression', { skip: missing }, () => undefined)
} else {
  describe('Kafka: a real broker', () => {
    let dir: string
    let kafka: LocalKafka
    let ports: { ssl: number; saslSsl: number; saslPlain: number }
    let ca: string
    before(async () => {
      dir = mkdtempSync(join(tmpdir(), 'sw-kafka-tls-'))
      const made = certificates(dir)
      ca = made.ca
      const skip = new Set<number>()
      const port = async (): Promise<number> => {
        const found = await findPort(30_500 + ((process.pid * 13) % 1_500), 400, skip)
        skip.add(found)
        return found
      }
      ports = { ssl: await port(), saslSsl: await port(), saslPlain: await port() }
      const plain = `org.apache.kafka.common.security.plain.PlainLoginModule required user_app="${password}";`
      const scram = 'org.apache.kafka.common.security.scram.ScramLoginModule required;'
      kafka = await startKafka(install, {
        settingsOf: ({ port: own, controllerPort }) => {
          const ours = `PLAINTEXT://127.0.0.1:${own},SSL://127.0.0.1:${ports.ssl},SASL_SSL://127.0.0.1:${ports.saslSsl},SASL_PLAINTEXT://127.0.0.1:${ports.saslPlain}`
          const sasl = (listener: string): Record<string, string> => ({
            [`listener.name.${listener}.sasl.enabled.mechanisms`]: 'PLAIN,SCRAM-SHA-256,SCRAM-SHA-512',
            [`listener.name.${listener}.plain.sasl.jaas.config`]: plain,
            [`listener.name.${listener}.scram-sha-256.sasl.jaas.config`]: scram,
            [`listener.name.${listener}.scram-sha-512.sasl.jaas.config`]: scram,
          })
          return {
            listeners: `${ours},CONTROLLER://127.0.0.1:${controllerPort}`,
            'advertised.listeners': ours,
            'ssl.keystore.type': 'PEM',
            'ssl.keystore.location': made.chain,
            'ssl.truststore.type': 'PEM',
            'ssl.truststore.location': made.ca,
            ...sasl('sasl_ssl'),
            ...sasl('sasl_plaintext'),
          }
        },
      })
      await makeScramUser(kafka, 'app')
    })
    after(async () => {
      await kafka?.destroy()
      rmSync(dir, { recursive: true, force: true })
    })

    const secret = `user=app&password=${encodeURIComponent(password)}`
    for (const [name, port, query] of [
      ['TLS', 'ssl', 'tls=true&tls-ca={ca}'],
      ['TLS and SASL PLAIN', 'saslSsl', `tls=true&tls-ca={ca}&sasl=plain&${secret}`],
      ['TLS and SASL SCRAM-SHA-256', 'saslSsl', `tls=true&tls-ca={ca}&sasl=scram-sha-256&${secret}`],
      ['TLS and SASL SCRAM-SHA-512', 'saslSsl', `tls=true&tls-ca={ca}&sasl=scram-sha-512&${secret}`],
      ['SASL PLAIN', 'saslPlain', `sasl=plain&${secret}`],
      ['SASL SCRAM-SHA-512', 'saslPlain', `sasl=scram-sha-512&${secret}`],
    ] as const)
      test(`${name}: a topic is made, written and read`, async () => {
        const topic = `t${name.replaceAll(/[^A-Za-z0-9]/g, '')}`
        const url = `kafka://127.0.0.1:${ports[port]}/${topic}?${query.replace('{ca}', encodeURIComponent(ca))}`
        await createTopic(url, { partitions: 2 })
        {
          await using producer = await openProducer(url)
          await producer.send([...'abcd'].map((text) => ({ key: Buffer.from(text), value: Buffer.from(text) })))
        }
        assert.deepEqual((await readAll(url)).sort(), ['a', 'b', 'c', 'd'])
      })

    test('a wrong password is refused by name, and told from a broker that cannot be reached', async () => {
      await createTopic(kafka.url('refused'), { partitions: 1 })
      for (const mechanism of ['plain', 'scram-sha-512'])
        await assert.rejects(openTopic(`kafka://127.0.0.1:${ports.saslPlain}/refused?sasl=${mechanism}&user=app&password=no`), {
          code: 'SW-TOPIC-006',
        })
    })

    test('a certificate of a CA that was not named is not believed', async () => {
      await createTopic(kafka.url('unbelieved'), { partitions: 1 })
      await assert.rejects(openTopic(`kafka://127.0.0.1:${ports.ssl}/unbelieved?tls=true`), (error: Error) => {
        assert.match(error.message, /certificate|self.signed|unable to verify/i)
        return true
      })
    })

    test('records of aborted transactions are never handed out, those of committed ones once', async () => {
      await createTopic(kafka.url('transactions'), { partitions: 1 })
      const producer = new Producer({
        clientId: 'test',
        bootstrapBrokers: [kafka.brokers],
        idempotent: true,
        transactionalId: 'test',
        retries: 20,
        retryDelay: 200,
      })
      for (const name of ['a', 'B', 'c', 'D', 'e']) {
        const transaction = await producer.beginTransaction()
        for (const part of [1, 2])
          await transaction.send({ messages: [{ topic: 'transactions', partition: 0, value: Buffer.from(`${name}${part}`) }] })
        await (name === name.toUpperCase() ? transaction.abort() : transaction.commit())
      }
      await producer.close()
      assert.deepEqual(await readAll(kafka.url('transactions')), ['a1', 'a2', 'c1', 'c2', 'e1', 'e2'])
    })

    test('every compression that producers use is read', async () => {
      await createTopic(kafka.url('compressed'), { partitions: 1 })
      const expected: string[] = []
      for (const compression of ['none', 'gzip', 'snappy', 'lz4', 'zstd'] as const) {
        const producer = new Producer({ clientId: 'test', bootstrapBrokers: [kafka.brokers], retries: 10, retryDelay: 200 })
        const values = Array.from({ length: 20 }, (_, i) => `${compression} ${i} ${'x'.repeat(200)}`)
        expected.push(...values)
        await producer.send({
          compression,
          messages: values.map((value) => ({ topic: 'compressed', partition: 0, value: Buffer.from(value) })),
        })
        await producer.close()
      }
      assert.deepEqual(await readAll(kafka.url('compressed')), expected)
    })
  })
}
