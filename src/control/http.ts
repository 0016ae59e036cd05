import Fastify from 'fastify'
import type { FastifyInstance, FastifyReply } from 'fastify'
import { z } from 'zod'
import { endpoints } from '../api/endpoints.ts'
import type { EndpointName, Params, ParsedBody, ResponseOf } from '../api/endpoints.ts'
import { apiErrors } from '../api/errors.ts'
import { SwError } from '../base/errors.ts'
import type { Log } from '../base/log.ts'
import { withoutPassword } from '../base/secrets.ts'
import { guardAccess } from './access.ts'

export type Handlers = {
  readonly [N in EndpointName]: (params: Params, body: ParsedBody<N>) => Promise<ResponseOf<N>>
}

export type HttpOptions = {
  readonly handlers: Handlers
  readonly log: Log
  /** Asked of every request; absent: none (loopback only). */
  readonly token?: string | undefined
  readonly version: string
}

const statusOfCode: Readonly<Record<string, number>> = { 'SW-API-003': 404, 'SW-API-006': 401, 'SW-API-008': 403, 'SW-API-009': 403 }
const statusOf = { user: 400, transient: 503, unknown: 500, fatal: 500 } as const

/** The control API over HTTP: every endpoint of the contract, nothing else but its own description. */
export function buildHttp(options: HttpOptions): FastifyInstance {
  const { handlers, log } = options
  const app = Fastify({ logger: false, bodyLimit: 8 << 20, forceCloseConnections: true })
  app.setErrorHandler((error, _request, reply) => sendError(reply, error, log))
  app.setNotFoundHandler((request, reply) =>
    sendError(
      reply,
      apiErrors.notFound({ kind: 'request', name: `${request.method} ${request.url}`, list: 'GET /api/v1/openapi.json' }),
      log,
    ),
  )
  // Addresses of topics stand in what is shown of fleets, runs and their journals.
  app.addHook('onSend', async (_request, _reply, payload) => (typeof payload === 'string' ? withoutPassword(payload) : payload))
  guardAccess(app, options.token)
  for (const name of Object.keys(endpoints) as EndpointName[]) register(app, name, handlers)
  app.get('/api/v1/openapi.json', async () => openApi(options.version))
  return app
}

function register<N extends EndpointName>(app: FastifyInstance, name: N, handlers: Handlers): void {
  const endpoint = endpoints[name]
  app.route({
    method: endpoint.method,
    url: endpoint.path,
    handler: async (request) => {
      const body = endpoint.body === null ? undefined : parse(endpoint.body, request.body)
      return handlers[name](request.params as Params, body as ParsedBody<N>)
    },
  })
}

function parse(schema: z.ZodType, body: unknown): unknown {
  const result = schema.safeParse(body ?? {})
  if (result.success) return result.data
  throw apiErrors.badRequest({
    problems: result.error.issues.map((issue) => `${issue.path.join('.') || 'body'}: ${issue.message}`).join('; '),
  })
}

async function sendError(reply: FastifyReply, error: unknown, log: Log): Promise<FastifyReply> {
  const known = error instanceof SwError ? error : asKnown(error)
  if (known.class === 'fatal') log.error({ error }, 'a request failed')
  const status = statusOfCode[known.code] ?? statusOf[known.class]
  return reply.status(status).send({ error: known.toJSON() })
}

function asKnown(error: unknown): SwError {
  const message = error instanceof Error ? error.message : String(error)
  const status = (error as { statusCode?: number }).statusCode
  if (status !== undefined && status < 500) return apiErrors.badRequest({ problems: message })
  return apiErrors.internal({ message }, error)
}

/** The OpenAPI description, made from the same table as the routes. */
function openApi(version: string): object {
  const paths: Record<string, Record<string, unknown>> = {}
  for (const [name, endpoint] of Object.entries(endpoints)) {
    const path = endpoint.path.replace(/:(\w+)/g, '{$1}')
    const parameters = [...endpoint.path.matchAll(/:(\w+)/g)].map((match) => ({
      name: match[1],
      in: 'path',
      required: true,
      schema: { type: 'string' },
    }))
    paths[path] = {
      ...paths[path],
      [endpoint.method.toLowerCase()]: {
        operationId: name,
        summary: endpoint.summary,
        parameters,
        ...(endpoint.body === null
          ? {}
          : { requestBody: { required: true, content: { 'application/json': { schema: jsonSchema(endpoint.body, 'input') } } } }),
        responses: { 200: { description: 'done', content: { 'application/json': { schema: jsonSchema(endpoint.response, 'output') } } } },
      },
    }
  }
  return { openapi: '3.1.0', info: { title: 'Shardwright control API', version }, paths }
}

function jsonSchema(schema: z.ZodType, io: 'input' | 'output'): unknown {
  return z.toJSONSchema(schema, { io, unrepresentable: 'any' })
}
