import { readFileSync } from 'node:fs';

/** One of the libraries that are measured. */
export interface Contender {
  readonly name: 'cadenza' | 'openai-agents' | 'openai-agents-local' | 'ai-sdk' | 'langgraph';
  /** As tables call it. */
  readonly label: string;
  /** Folder of its worker, below this one. */
  readonly folder: string;
  /** What the agent's workflow is given besides the task; for those on Temporal. */
  readonly args?: readonly unknown[];
  /** Runs on Temporal. */
  readonly temporal: boolean;
}

/** In the order of the tables. */
export const contenders: readonly Contender[] = [
  { name: 'cadenza', label: 'Cadenza', folder: 'cadenza', temporal: true },
  {
    name: 'openai-agents',
    label: '@temporalio/openai-agents',
    folder: 'others/openai-agents',
    args: [],
    temporal: true,
  },
  {
    name: 'openai-agents-local',
    label: '… with useLocalActivity',
    folder: 'others/openai-agents',
    args: [{ local: true }],
    temporal: true,
  },
  { name: 'ai-sdk', label: '@temporalio/ai-sdk', folder: 'others/ai-sdk', args: [], temporal: true },
  { name: 'langgraph', label: 'LangGraph, PostgreSQL', folder: 'others/langgraph', temporal: false },
];

/** The packages that the others are made of, with their versions. */
export function versions(): Record<string, string> {
  const manifest = new URL('./others/package.json', import.meta.url);
  const { dependencies } = JSON.parse(readFileSync(manifest, 'utf8')) as {
    dependencies: Record<string, string>;
  };
  return dependencies;
}
