/** What topic definitions import, as `shardwright/topics`: wherever their file lies (`definition-modules.ts`). */
export { defineTopic } from './definition.ts'
export type { TopicDefinition } from './definition.ts'
export { json } from './json.ts'
export type { JsonEvent, JsonSchema } from './json.ts'
