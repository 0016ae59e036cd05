/**
 * Where a topology in etcd is:
 *
 *     etcd://[user@]host:port[,host:port…]/prefix[?tls=1&ca=FILE&cert=FILE&key=FILE&servername=NAME]
 *
 * A password is never part of it (it would show in process lists): it comes beside it. `etcds://` is `etcd://…?tls=1`.
 */
import { topologyErrors } from './errors.ts'

export type EtcdLocation = {
  readonly endpoints: readonly { readonly host: string; readonly port: number }[]
  /** Ends with '/'. */
  readonly prefix: string
  readonly user: string | null
  /** Null: no TLS. Values are paths of files, in PEM. */
  readonly tls: {
    readonly ca: string | null
    readonly cert: string | null
    readonly key: string | null
    readonly servername: string | null
  } | null
}

const form = 'etcd://host:port[,host:port…]/prefix[?tls=1&ca=FILE&cert=FILE&key=FILE]'

export function isEtcdLocation(text: string): boolean {
  return /^etcds?:\/\//.test(text)
}

/** SW-TOPOLOGY-011 for anything that is not of the form above: a misspelt option is never dropped in silence. */
export function parseEtcdLocation(text: string): EtcdLocation {
  const refuse = (reason: string): Error => topologyErrors.badLocation({ location: text, reason, form })
  const match = /^(etcds?):\/\/(?:([^@/]*)@)?([^/?@]+)(\/[^?]*)?(?:\?(.*))?$/.exec(text)
  if (match === null) throw refuse('it is not of that form')
  const [, scheme, user, hosts = '', path = '/', query = ''] = match
  if (user?.includes(':') === true) throw refuse('a password does not belong into it: give it by the environment')
  const endpoints = hosts.split(',').map((one) => {
    const parts = /^(\[[0-9a-fA-F:.]+\]|[^:[\]]+)(?::(\d{1,5}))?$/.exec(one)
    const port = Number(parts?.[2] ?? 2379)
    if (parts?.[1] === undefined || port < 1 || port > 65_535) throw refuse(`${one} is not a host and port`)
    return { host: parts[1].replace(/^\[|\]$/g, ''), port }
  })
  const options = new URLSearchParams(query)
  const known = ['tls', 'ca', 'cert', 'key', 'servername']
  const unknown = [...options.keys()].find((name) => !known.includes(name))
  if (unknown !== undefined) throw refuse(`the option ${unknown} is unknown; known are ${known.join(', ')}`)
  const wantsTls = scheme === 'etcds' || options.get('tls') === '1' || known.slice(1).some((name) => options.has(name))
  if ((options.get('cert') === null) !== (options.get('key') === null)) throw refuse('cert and key belong together')
  const name = path.replace(/^\/+|\/+$/g, '')
  return {
    endpoints,
    prefix: name === '' ? 'shardwright/' : `${name}/`,
    user: user === undefined || user === '' ? null : decodeURIComponent(user),
    tls: wantsTls
      ? { ca: options.get('ca'), cert: options.get('cert'), key: options.get('key'), servername: options.get('servername') }
      : null,
  }
}
