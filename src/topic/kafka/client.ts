/** Options of the Kafka client from a topic's address, and what its errors mean. Only this folder names the client. */
import { readFile } from 'node:fs/promises'
import { Admin, Consumer, findErrorBy, type ConsumerOptions, type Producer } from '@platformatic/kafka'
import { topicErrors } from '../errors.ts'
import type { KafkaAddress } from '../url.ts'

export type Bytes = Buffer
export type RawConsumer = Consumer<Bytes, Bytes, Bytes, Bytes>
export type RawProducer = Producer<Bytes, Bytes, Bytes, Bytes>

type Connection = Pick<ConsumerOptions<Bytes, Bytes, Bytes, Bytes>, 'clientId' | 'bootstrapBrokers' | 'tls' | 'tlsServerName' | 'sasl'>

export async function connectionOf(address: KafkaAddress): Promise<Connection> {
  const file = async (path: string | null): Promise<Record<string, Buffer> | null> => {
    if (path === null) return null
    try {
      return { bytes: await readFile(path) }
    } catch (error) {
      throw topicErrors.badUrl({ url: `kafka://${address.brokers.join(',')}/${address.topic}`, reason: (error as Error).message }, error)
    }
  }
  const { tls, sasl } = address
  const [ca, cert, key] = await Promise.all([file(tls?.ca ?? null), file(tls?.cert ?? null), file(tls?.key ?? null)])
  const password =
    sasl === null
      ? ''
      : 'text' in sasl.password
        ? sasl.password.text
        : String((await file(sasl.password.file))?.['bytes'] ?? '').replace(/\r?\n$/, '')
  return {
    clientId: 'shardwright',
    bootstrapBrokers: [...address.brokers],
    ...(tls === null
      ? {}
      : {
          tls: {
            ...(ca?.['bytes'] === undefined ? {} : { ca: ca['bytes'] }),
            ...(cert?.['bytes'] === undefined ? {} : { cert: cert['bytes'] }),
            ...(key?.['bytes'] === undefined ? {} : { key: key['bytes'] }),
          },
          tlsServerName: tls.serverName ?? true,
        }),
    ...(sasl === null ? {} : { sasl: { mechanism: sasl.mechanism, username: sasl.user, password } }),
  }
}

/**
 * A client for `fetch`, `metadata` and `listOffsets`; it joins no group and commits nothing. Without retries of its own:
 * between two tries of a fetch it would drop the leader epochs from the request, and with them the check for a truncated
 * log, just when a leader has moved.
 */
export function rawConsumer(connection: Connection): RawConsumer {
  return new Consumer<Bytes, Bytes, Bytes, Bytes>({
    ...connection,
    groupId: 'shardwright-joins-no-group',
    retries: 0,
    timeout: 10_000,
    connectTimeout: 5_000,
    requestTimeout: 15_000,
  })
}

/** Runs `work` with an administration client, closed after. */
export async function withAdmin<T>(address: KafkaAddress, work: (admin: Admin) => Promise<T>): Promise<T> {
  const admin = new Admin({ ...(await connectionOf(address)), retries: 3, retryDelay: 200, connectTimeout: 5_000 })
  try {
    return await work(admin)
  } finally {
    await admin.close().catch(() => undefined)
  }
}

export function hasApiError(error: unknown, ...apiIds: string[]): boolean {
  return error instanceof Error && apiIds.some((apiId) => findErrorBy(error, 'apiId', apiId) !== null)
}

/** The topic is not known to the broker that was asked; the client says so in words of its own when metadata lacks it. */
export function isUnknownTopic(error: unknown): boolean {
  if (hasApiError(error, 'UNKNOWN_TOPIC_OR_PARTITION', 'UNKNOWN_TOPIC_ID', 'INCONSISTENT_TOPIC_ID')) return true
  return error instanceof Error && error.message.startsWith('Unknown topic ')
}

const refusals = new Set([
  'TOPIC_AUTHORIZATION_FAILED',
  'CLUSTER_AUTHORIZATION_FAILED',
  'SASL_AUTHENTICATION_FAILED',
  'UNSUPPORTED_SASL_MECHANISM',
  'INVALID_TOPIC_EXCEPTION',
])

/**
 * Whether asking again cannot help until somebody changes a right or a password. A refused sign-in is the *cause* of an error of the network's, where the
 * client's own search does not look: taken for a broker that is away, it would be asked for ever.
 */
export function isRefusal(error: unknown, depth = 0): boolean {
  if (!(error instanceof Error) || depth > 8) return false
  const { apiId, code } = error as { apiId?: unknown; code?: unknown }
  if (refusals.has(String(apiId)) || code === 'PLT_KFK_AUTHENTICATION') return true
  const inner: unknown[] = error instanceof AggregateError ? [...error.errors, error.cause] : [error.cause]
  return inner.some((one) => isRefusal(one, depth + 1))
}

const unbelieved = new Set([
  'SELF_SIGNED_CERT_IN_CHAIN',
  'DEPTH_ZERO_SELF_SIGNED_CERT',
  'UNABLE_TO_VERIFY_LEAF_SIGNATURE',
  'UNABLE_TO_GET_ISSUER_CERT',
  'UNABLE_TO_GET_ISSUER_CERT_LOCALLY',
  'CERT_HAS_EXPIRED',
  'ERR_TLS_CERT_ALTNAME_INVALID',
])

/** Whether each broker that was tried showed a certificate that is not believed: at the opening, asking again shows the same one. */
export function isUnbelieved(error: unknown, depth = 0): boolean {
  if (!(error instanceof Error) || depth > 8) return false
  if (unbelieved.has(String((error as { code?: unknown }).code))) return true
  const inner: readonly unknown[] = error instanceof AggregateError ? error.errors : [error.cause]
  return inner.length > 0 && inner.every((one) => isUnbelieved(one, depth + 1))
}

/** One line of the client's nested errors. */
export function reasonOf(error: unknown): string {
  const texts: string[] = []
  const walk = (at: unknown, depth: number): void => {
    if (!(at instanceof Error) || depth > 6) return
    const nested = at instanceof AggregateError ? at.errors : at.cause === undefined ? [] : [at.cause]
    if (nested.length === 0 || texts.length === 0) texts.push(at.message.split('\n')[0] ?? '')
    for (const inner of nested) walk(inner, depth + 1)
  }
  walk(error, 0)
  return [...new Set(texts)].slice(0, 3).join(': ') || String(error)
}

export function asUnreachable(error: unknown, address: KafkaAddress): Error {
  return topicErrors.unreachable({ topic: address.topic, reason: reasonOf(error), where: address.brokers.join(',') }, error)
}

export function asRefusal(error: unknown, address: KafkaAddress, action: string): Error {
  return topicErrors.notAllowed({ topic: address.topic, action, reason: reasonOf(error) }, error)
}
