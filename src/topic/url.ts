/**
 * The address of a topic.
 *
 *   log:///path/of/folder/topicname
 *   kafka://host:port[,host:port…]/topicname[?option=value&…]
 *     tls=true                   TLS; with tls-ca=FILE, tls-cert=FILE and tls-key=FILE, tls-server-name=NAME
 *     sasl=plain|scram-sha-256|scram-sha-512, user=NAME, password=TEXT or password-file=FILE (the file is read by the processes that open the topic; a password in the address stands in the topology)
 */
import { isAbsolute, normalize } from 'node:path'
import { withoutPassword } from '../base/secrets.ts'
import { topicErrors } from './errors.ts'

export type LogAddress = { readonly kind: 'log'; readonly dir: string }

export type SaslMechanism = 'PLAIN' | 'SCRAM-SHA-256' | 'SCRAM-SHA-512'

export type KafkaAddress = {
  readonly kind: 'kafka'
  readonly brokers: readonly string[]
  readonly topic: string
  readonly tls: {
    readonly ca: string | null
    readonly cert: string | null
    readonly key: string | null
    readonly serverName: string | null
  } | null
  readonly sasl: {
    readonly mechanism: SaslMechanism
    readonly user: string
    readonly password: { readonly text: string } | { readonly file: string }
  } | null
}

export type TopicAddress = LogAddress | KafkaAddress

const mechanisms: readonly SaslMechanism[] = ['PLAIN', 'SCRAM-SHA-256', 'SCRAM-SHA-512']
const options = new Set(['tls', 'tls-ca', 'tls-cert', 'tls-key', 'tls-server-name', 'sasl', 'user', 'password', 'password-file'])

/** @throws SW-TOPIC-007 */
export function parseTopicUrl(url: string): TopicAddress {
  const bad = (reason: string): Error => topicErrors.badUrl({ url: withoutPassword(url), reason })
  const log = /^log:\/\/(.*)$/s.exec(url)
  if (log !== null) {
    const dir = decode(log[1] ?? '', bad)
    if (!isAbsolute(dir) || dir.endsWith('/') || dir.includes('\0')) throw bad('it names no absolute path')
    return { kind: 'log', dir: normalize(dir) }
  }
  const kafka = /^kafka:\/\/([^/?#]*)\/([^/?#]*)(?:\?([^#]*))?$/s.exec(url)
  if (kafka === null) throw bad('it begins with neither log:/// nor kafka://')
  const brokers = (kafka[1] ?? '').split(',')
  for (const broker of brokers) if (!/^([\w.-]+|\[[0-9a-f:.]+\]):\d{1,5}$/i.test(broker)) throw bad(`“${broker}” is not host:port`)
  const topic = decode(kafka[2] ?? '', bad)
  if (!/^[\w.-]{1,249}$/.test(topic) || topic === '.' || topic === '..') throw bad(`“${topic}” cannot name a topic`)
  const query = new URLSearchParams(kafka[3] ?? '')
  for (const name of query.keys()) if (!options.has(name)) throw bad(`unknown option ${name}; known: ${[...options].join(', ')}`)
  return { kind: 'kafka', brokers, topic, tls: tlsOf(query, bad), sasl: saslOf(query, bad) }
}

function tlsOf(query: URLSearchParams, bad: (reason: string) => Error): KafkaAddress['tls'] {
  const tls = query.get('tls') ?? 'false'
  if (tls !== 'true' && tls !== 'false') throw bad('tls is true or false')
  const parts = {
    ca: query.get('tls-ca'),
    cert: query.get('tls-cert'),
    key: query.get('tls-key'),
    serverName: query.get('tls-server-name'),
  }
  if (tls === 'false') {
    if (Object.values(parts).some((part) => part !== null)) throw bad('tls-… is given without tls=true')
    return null
  }
  if ((parts.cert === null) !== (parts.key === null)) throw bad('tls-cert and tls-key go together')
  return parts
}

function saslOf(query: URLSearchParams, bad: (reason: string) => Error): KafkaAddress['sasl'] {
  const named = query.get('sasl')
  const user = query.get('user')
  const text = query.get('password')
  const file = query.get('password-file')
  if (named === null) {
    if (user !== null || text !== null || file !== null) throw bad('user or password is given without sasl=')
    return null
  }
  const mechanism = mechanisms.find((known) => known === named.toUpperCase())
  if (mechanism === undefined) throw bad(`sasl=${named}; known: ${mechanisms.join(', ').toLowerCase()}`)
  if (user === null || (text === null) === (file === null)) throw bad('sasl needs user, and password or password-file')
  return { mechanism, user, password: file === null ? { text: text ?? '' } : { file } }
}

function decode(text: string, bad: (reason: string) => Error): string {
  try {
    return decodeURIComponent(text)
  } catch {
    throw bad('a % that begins no code')
  }
}
