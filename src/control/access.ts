/**
 * Who may use the control API, the page and the metrics.
 *
 * With a token, each request brings it: `Authorization: Bearer …`, or as the password of Basic authentication, which a browser
 * asks its user for by itself and sends with the page's event feed too. Without one the API listens on this machine only, and
 * answers only to a name of this machine: a page elsewhere whose name was made to resolve to 127.0.0.1 gets nothing.
 * Either way a change that a browser was led to by another site is refused (browsers say so in Sec-Fetch-Site): a password
 * that it sends by itself must not work for others.
 */
import { createHash, timingSafeEqual } from 'node:crypto'
import type { IncomingHttpHeaders } from 'node:http'
import type { FastifyInstance } from 'fastify'
import { apiErrors } from '../api/errors.ts'

export function guardAccess(app: FastifyInstance, token: string | undefined): void {
  app.addHook('onRequest', async (request, reply) => {
    const { headers } = request
    const site = headers['sec-fetch-site']
    if (request.method !== 'GET' && site !== undefined && site !== 'same-origin' && site !== 'none') throw apiErrors.otherSite()
    if (token === undefined) {
      if (!isLoopback(hostOf(headers))) throw apiErrors.otherHost({ host: hostOf(headers) })
    } else if (!brings(headers, token)) {
      reply.header('www-authenticate', 'Basic realm="Shardwright", charset="UTF-8"')
      throw apiErrors.unauthorized()
    }
  })
}

/** `localhost`, `127.0.0.0/8` or `::1`: reached from this machine only. */
export function isLoopback(host: string): boolean {
  return host === 'localhost' || host === '::1' || /^127(\.\d{1,3}){3}$/.test(host)
}

/** The host of a request without its port; what came without a Host header came from no browser. */
function hostOf(headers: IncomingHttpHeaders): string {
  const host = headers.host ?? 'localhost'
  return (/^\[(.*)\](?::\d+)?$/.exec(host)?.[1] ?? host.replace(/:\d+$/, '')).toLowerCase()
}

function brings(headers: IncomingHttpHeaders, token: string): boolean {
  const [scheme, given] = (headers.authorization ?? '').split(' ', 2)
  if (given === undefined) return false
  if (scheme === 'Bearer') return sameSecret(given, token)
  if (scheme !== 'Basic') return false
  const pair = Buffer.from(given, 'base64').toString('utf8')
  return sameSecret(pair.slice(pair.indexOf(':') + 1), token)
}

/** In a time that does not tell how much of it was right. */
function sameSecret(given: string, expected: string): boolean {
  const digest = (text: string): Buffer => createHash('sha256').update(text).digest()
  return timingSafeEqual(digest(given), digest(expected))
}
