/* A model that answers texts, in React Native on Android: the other half of EdgewrightModule.kt.
 *
 *     const [best] = await classify("a charming and often affecting journey");
 *
 * Offsets count characters (code points), where JavaScript counts an emoji as two: `slice` cuts by them. */
import { NativeModules } from "react-native";

export interface Label { label: string; score: number }
export interface Entity extends Label { text: string; start: number; end: number }

interface Native {
  classify(text: string, pair: string | null, topK: number): Promise<Label[]>;
  tag(text: string): Promise<Entity[]>;
  embed(text: string): Promise<number[]>;
}

function native(): Native {
  const found: Native | undefined = NativeModules.Edgewright;
  if (!found) throw new Error("EdgewrightModule is not in the app's packages: see its ReactPackage");
  return found;
}

/** The best labels of a text or a pair. It rejects with the name of an EdgewrightException's reason as `code`. */
export function classify(text: string, options: { pair?: string; topK?: number } = {}): Promise<Label[]> {
  return native().classify(text, options.pair ?? null, options.topK ?? 1);
}

/** The entities of a text, in its order. */
export function tag(text: string): Promise<Entity[]> {
  return native().tag(text);
}

/** The vector of a text. */
export async function embed(text: string): Promise<Float32Array> {
  return Float32Array.from(await native().embed(text));
}

export function slice(text: string, start: number, end: number): string {
  return Array.from(text).slice(start, end).join("");
}
