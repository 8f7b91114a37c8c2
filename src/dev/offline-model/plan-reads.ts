import type { ToolUse } from './classify-tools.ts';
import type { JsonObject } from './json.ts';
import { isObject } from './json.ts';
import { isFilePath } from './passages.ts';
import type { PlannedCall } from './planned-call.ts';
import type { Situation } from './read-request.ts';
import { rankStatements } from './rank-statements.ts';
import { overlap } from './terms.ts';

type Read = Extract<ToolUse, { kind: 'read' }>;

interface Window {
  path: string;
  from: number;
  to: number;
}

const MOST_READS = 5;
const MOST_AT_ONCE = 3;
const LINES_BEFORE = 8;
const LINES_AFTER = 20;
const LEAST_OF_BEST = 0.4;

/** The next reads: around the best places found so far that have not been read, or the files that a listing names. */
export function planReads(tools: Read[], situation: Situation): PlannedCall[] {
  const [read] = tools;
  if (!read) return [];
  const { name } = read.tool.function;
  const made = situation.calls.filter(({ tool, earlier }) => tool === name && !earlier);
  const left = Math.min(MOST_AT_ONCE, MOST_READS - made.length);
  const windows = read.from === undefined && read.count === undefined ? [] : hitWindows(situation);
  const wanted =
    windows.length > 0 ? windows : paths(situation).map((path) => ({ path, from: 1, to: Infinity }));
  return wanted
    .filter((window) => !made.some((call) => contains(windowOf(read, call.arguments), window)))
    .slice(0, Math.max(0, left))
    .map((window) => ({ tool: read.tool, arguments: argumentsOf(read, window) }));
}

function hitWindows(situation: Situation): Window[] {
  const ranked = rankStatements(situation.statements, situation.terms, situation.question);
  const best = ranked[0]?.score ?? 0;
  const windows: Window[] = [];
  for (const { statement, score } of ranked) {
    const { path, line } = statement;
    if (path === undefined || line === undefined || score < best * LEAST_OF_BEST) continue;
    if (windows.some((window) => window.path === path && window.from <= line && line <= window.to)) continue;
    windows.push({ path, from: Math.max(1, line - LINES_BEFORE), to: line + LINES_AFTER });
    if (windows.length === MOST_READS) break;
  }
  return windows;
}

/** Files worth reading whole: those of hits without a line, then those in listings, the ones named like the question first. */
function paths(situation: Situation): string[] {
  const ranked = rankStatements(situation.statements, situation.terms, situation.question);
  const hit = ranked.flatMap(({ statement: { path } }) => (path === undefined ? [] : [path]));
  const listed = situation.calls
    .flatMap(({ result }) => strings(result))
    .filter(isFilePath)
    .toSorted((a, b) => overlap(situation.terms, b) - overlap(situation.terms, a));
  return [...new Set([...hit, ...listed])];
}

function strings(value: unknown): string[] {
  if (typeof value === 'string') return value.split('\n');
  if (Array.isArray(value)) return value.flatMap(strings);
  return isObject(value) ? Object.values(value).flatMap(strings) : [];
}

function windowOf(read: Read, given: JsonObject): Window {
  const from = Number(given[read.from ?? ''] ?? 1);
  const span = Number(given[read.count ?? ''] ?? Infinity);
  return { path: String(given[read.path]), from, to: Number(given[read.to ?? ''] ?? from + span - 1) };
}

/** Whether what was read holds the middle of another window, where its hit is. */
function contains(done: Window, wanted: Window): boolean {
  const hit = Math.min(wanted.from + LINES_BEFORE, wanted.to);
  return done.path === wanted.path && done.from <= hit && hit <= done.to;
}

function argumentsOf(read: Read, { path, from, to }: Window): JsonObject {
  if (to === Infinity) return { [read.path]: path };
  return {
    [read.path]: path,
    ...(read.from !== undefined && { [read.from]: from }),
    ...(read.to !== undefined && { [read.to]: to }),
    ...(read.to === undefined && read.count !== undefined && { [read.count]: to - from + 1 }),
  };
}
