import { toolText } from './classify-tools.ts';
import { extractAnswer } from './extract-answer.ts';
import { fillArguments } from './fill-schema.ts';
import { isObject } from './json.ts';
import type { JsonObject } from './json.ts';
import type { PlannedCall } from './planned-call.ts';
import type { Situation } from './read-request.ts';

/** A call's arguments, those that were not thought of filled as any other schema is, and the ones that nothing given stands behind. */
export function completeArguments(
  { tool, arguments: given }: PlannedCall,
  situation: Situation,
): { arguments: JsonObject; missing: string[] } {
  const { parameters } = tool.function;
  if (!isObject(parameters?.properties)) return { arguments: given, missing: [] };
  const required = new Set(parameters.required ?? []);
  const properties = Object.entries(parameters.properties).filter(
    ([name]) => name in given || required.has(name),
  );
  const asked = { ...parameters, properties: Object.fromEntries(properties) };
  return fillArguments(asked, situation, extractAnswer(situation), { about: toolText(tool), given });
}
