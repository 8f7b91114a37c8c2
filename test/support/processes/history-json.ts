import { createRequire } from 'node:module';
import type { History } from '@temporalio/common/lib/proto-utils.js';
import proto from '@temporalio/proto';
import { patchProtobufRoot } from '@temporalio/proto/lib/patch-protobuf-root.js';

/** The part of protobufjs that is used. */
interface ProtoJson {
  fromJson(type: unknown, json: unknown, options: { ignoreUnknownFields: boolean }): History;
  toJson(type: unknown, message: unknown): unknown;
}

// Temporal's own historyToJSON fails where npm has installed protobufjs more than once, as types of one copy are none to
// another. This is the copy that made the types.
const besideTypes = createRequire(createRequire(import.meta.url).resolve('@temporalio/proto'));
const protoJson = besideTypes('protobufjs/ext/protojson') as ProtoJson;
const root = patchProtobufRoot(proto) as unknown as { lookupType(name: string): unknown };
const historyType = root.lookupType('temporal.api.history.v1.History');

/** A history as proto JSON, as the Temporal CLI and the Web UI write it. */
export function historyToJson(history: History): string {
  return JSON.stringify(
    protoJson.toJson(historyType, proto.temporal.api.history.v1.History.fromObject(history)),
    null,
    2,
  );
}

/** The inverse of {@link historyToJson}. */
export function historyFromJson(json: string): History {
  return protoJson.fromJson(historyType, JSON.parse(json), { ignoreUnknownFields: true });
}
