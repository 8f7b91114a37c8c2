/**
 * The benchmark's agent as a user of `@temporalio/openai-agents` writes it, compiled to CommonJS: what this version of the library imports as an
 * ES module has parts that are loaded on demand, which a workflow bundle cannot do.
 */
const { Agent } = require('@openai/agents-core');
const { activityAsTool, TemporalOpenAIRunner } = require('@temporalio/openai-agents/workflow');
const { instructions, pageSchema, pageTool } = require('../../../history/book.ts');

/** With `local`, model calls are local activities: the option of that package that keeps the conversation out of the history. */
async function readerAgent(task, { local = false } = {}) {
  const readPage = activityAsTool(
    { ...pageTool, parameters: pageSchema, strict: true },
    { startToCloseTimeout: '5 minutes' },
  );
  const agent = new Agent({ name: 'reader', instructions, model: 'test-model', tools: [readPage] });
  const runner = new TemporalOpenAIRunner(local ? { defaultModelParams: { useLocalActivity: true } } : {});
  const result = await runner.run(agent, task, { maxTurns: 1_000 });
  return result.finalOutput ?? '';
}

module.exports = { readerAgent };
