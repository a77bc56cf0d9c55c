/// A model that answers or writes texts, in Flutter or any other Dart: dart:ffi on what `edgewright export c` wrote.
///
///     final model = Edgewright.open('libedgewright.so', assets, engine: 'libonnxruntime.so');
///     print(model.classify('a charming and often affecting journey'));
///     model.close();
///
/// Build the project with `cmake -DBUILD_SHARED_LIBS=ON`, put libedgewright.so and the engine beside the app's libraries, and
/// copy `assets` into a directory. Calls block: make them in an isolate. Needs package:ffi.
library edgewright;

import 'dart:convert';
import 'dart:ffi';

import 'package:ffi/ffi.dart';

/// ew_options, ew_request, ew_item and ew_answer of edgewright.h, field by field.
final class _Options extends Struct {
  external Pointer<Utf8> engine;
  @Int()
  external int threads;
  @Int()
  external int hugePages;
}

final class _Request extends Struct {
  external Pointer<Utf8> text;
  external Pointer<Utf8> pair;
  external Pointer<Pointer<Utf8>> choices;
  @Size()
  external int choiceCount;
  @Int()
  external int topK;
  @Int()
  external int aggregation;
  @Int()
  external int multiLabel;
  external Pointer<Utf8> hypothesis;
  @Int()
  external int maxAnswerLen;
  @Int()
  external int noAnswer;
}

final class _Item extends Struct {
  external Pointer<Utf8> label;
  external Pointer<Utf8> text;
  @Double()
  external double score;
  @Int32()
  external int id;
  @Uint32()
  external int index;
  @Uint32()
  external int start;
  @Uint32()
  external int end;
}

const _mostWhy = 512; // EW_WHY

final class _Answer extends Struct {
  external Pointer<_Item> items;
  @Size()
  external int count;
  external Pointer<Float> vector;
  @Size()
  external int width;
  @Array(_mostWhy)
  external Array<Char> why;
  external Pointer<Void> parts;
}

typedef _Open = Int Function(Pointer<Pointer<Void>>, Pointer<Utf8>, Pointer<_Options>, Pointer<Utf8>);
typedef _Run = Int Function(Pointer<Void>, Pointer<_Request>, Pointer<_Answer>);
typedef _Piece = Int Function(Pointer<Void>, Pointer<Utf8>, Size);
typedef _Stream = Int Function(
    Pointer<Void>, Pointer<Utf8>, Pointer<Utf8>, Pointer<Utf8>, Pointer<NativeFunction<_Piece>>, Pointer<Void>, Pointer<Void>);

class EdgewrightException implements Exception {
  EdgewrightException(this.message);
  final String message;
  @override
  String toString() => message;
}

/// What is found in a text; `start` and `end` count characters (code points), as [String.runes] does.
class Item {
  Item(this.label, this.text, this.score, this.start, this.end);
  final String label, text;
  final double score;
  final int start, end;
  @override
  String toString() => '$label $score';
}

class Edgewright {
  Edgewright._(this._library, this._model);
  final DynamicLibrary _library;
  final Pointer<Void> _model;

  static Edgewright open(String library, String assets, {String? engine, int threads = 1}) => using((arena) {
        final opened = DynamicLibrary.open(library);
        final options = arena<_Options>();
        options.ref
          ..engine = engine == null ? nullptr : engine.toNativeUtf8(allocator: arena)
          ..threads = threads;
        final model = arena<Pointer<Void>>();
        final why = arena<Uint8>(_mostWhy).cast<Utf8>();
        final open = opened.lookupFunction<_Open, int Function(Pointer<Pointer<Void>>, Pointer<Utf8>, Pointer<_Options>, Pointer<Utf8>)>('ew_open');
        if (open(model, assets.toNativeUtf8(allocator: arena), options, why) != 0) throw EdgewrightException(why.toDartString());
        return Edgewright._(opened, model.value);
      });

  /// Labels of a text or a pair, the best first; what other tasks have is in edgewright.h.
  List<Item> classify(String text, {String? pair, int topK = 1}) => using((arena) {
        final request = arena<_Request>();
        request.ref
          ..text = text.toNativeUtf8(allocator: arena)
          ..pair = pair == null ? nullptr : pair.toNativeUtf8(allocator: arena)
          ..topK = topK;
        final answer = arena<_Answer>();
        final run = _library.lookupFunction<_Run, int Function(Pointer<Void>, Pointer<_Request>, Pointer<_Answer>)>('ew_run');
        final free = _library.lookupFunction<Void Function(Pointer<_Answer>), void Function(Pointer<_Answer>)>('ew_answer_free');
        try {
          if (run(_model, request, answer) != 0) throw EdgewrightException(_why(answer.ref.why));
          return [
            for (var i = 0; i < answer.ref.count; i++)
              Item(answer.ref.items[i].label.toDartString(), answer.ref.items[i].text.toDartString(), answer.ref.items[i].score,
                  answer.ref.items[i].start, answer.ref.items[i].end)
          ];
        } finally {
          free(answer);
        }
      });

  /// Writes after a prompt or after messages, a list of {'role', 'content'}; `piece` gets what comes, and false from it ends it.
  void write(Object asked, bool Function(String) piece, {Map<String, Object?> settings = const {}}) => using((arena) {
        final told = NativeCallable<_Piece>.isolateLocal(
            (Pointer<Void> user, Pointer<Utf8> text, int bytes) => piece(text.toDartString(length: bytes)) ? 0 : 1,
            exceptionalReturn: 1);
        final write = _library.lookupFunction<
            _Stream,
            int Function(Pointer<Void>, Pointer<Utf8>, Pointer<Utf8>, Pointer<Utf8>, Pointer<NativeFunction<_Piece>>, Pointer<Void>,
                Pointer<Void>)>('ew_stream');
        final text = (asked is String ? asked : jsonEncode(asked)).toNativeUtf8(allocator: arena);
        final code = write(_model, asked is String ? text : nullptr, asked is String ? nullptr : text,
            jsonEncode(settings).toNativeUtf8(allocator: arena), told.nativeFunction, nullptr, nullptr);
        told.close();
        final words = _library.lookupFunction<Pointer<Utf8> Function(Int), Pointer<Utf8> Function(int)>('ew_words');
        if (code != 0) throw EdgewrightException(words(code).toDartString());
      });

  void close() => _library.lookupFunction<Void Function(Pointer<Void>), void Function(Pointer<Void>)>('ew_close')(_model);
}

String _why(Array<Char> why) {
  final bytes = <int>[for (var i = 0; i < _mostWhy && why[i] != 0; i++) why[i] & 0xff];
  return utf8.decode(bytes, allowMalformed: true);
}
