import CEdgewright
import Foundation

/// A model that answers, writes or translates texts as its bundle does in Python.
///
///     let model = try Edgewright.open()
///     print(try model.classify("a charming and often affecting journey"))  // [Label(label: "positive", score: 0.9987)]
///     for try await piece in model.stream("Once upon a time") { print(piece, terminator: "") }
///     for try await sentence in model.translate("Turn on the lights.") { print(sentence, terminator: "") }
///
/// Calls block, so make them off the main thread. Threads may ask one model at once. Offsets count characters (code points),
/// as `unicodeScalars` does: `slice` cuts by them. The memory goes with the last reference.
public final class Edgewright: @unchecked Sendable {
    public struct Failure: Error, CustomStringConvertible {
        public let code: Int
        public let description: String
    }

    public struct Label { public let label: String, score: Double }
    public struct Entity { public let label: String, text: String, score: Double, start: Int, end: Int }
    public struct Filling { public let token: String, id: Int, text: String, score: Double, mask: Int }
    public struct Passage { public let text: String, score: Double, start: Int, end: Int }
    public struct Ranked { public let text: String, index: Int, score: Double }

    public enum Aggregation: UInt32 { case words, none, simple, first, average, max }

    public struct Message: Codable {
        public let role: String, content: String
        public init(role: String, content: String) { (self.role, self.content) = (role, content) }
    }

    /// What came of an answer or of a translation. `tokens` are without the one that ended an answer; of a translation they are
    /// all sentences', each with the one that ended it. `reused` of the prompt's tokens lay in the cache already.
    public struct Written {
        public enum Reason: UInt32 { case nothing, end, stop, length, context, cancelled }

        public let tokens: [Int], reason: Reason, promptTokens: Int, reused: Int
        public let firstSeconds: Double, prefillSeconds: Double, decodeSeconds: Double
    }

    private let model: OpaquePointer
    private let writing = NSLock() // an answer that nobody reads any more ends behind its next piece: a new one waits
    private let ended = NSLock() // of `wrote`
    private var wrote: Written?

    /// Opens a directory that an export wrote. `engine` is the library of ONNX Runtime where the program is not linked with it.
    public init(assets: URL, engine: String? = nil, threads: Int = 1) throws {
        var opened: OpaquePointer?
        var why = [CChar](repeating: 0, count: Int(EW_WHY))
        let code = Edgewright.held([engine]) { texts -> Int32 in
            var options = ew_options(engine: texts[0], threads: Int32(threads), huge_pages: 0)
            return ew_open(&opened, assets.path, &options, &why)
        }
        guard code == 0, let opened else { throw Failure(code: Int(code), description: String(cString: why)) }
        model = opened
    }

    deinit { ew_close(model) }

    /// As Hugging Face names it, `text-classification` for one.
    public var task: String { String(cString: ew_task(model)) }

    /// Whether a model that writes takes messages.
    public var chats: Bool { ew_chats(model) != 0 }

    /// Classes of a text or a pair, the best first.
    public func classify(_ text: String, pair: String? = nil, topK: Int = 1) throws -> [Label] {
        try asked([text, pair], { $0.top_k = Int32(topK) }).map { Label(label: $0.label, score: $0.score) }
    }

    /// Entities of a text, in its order.
    public func tag(_ text: String, aggregation: Aggregation = .words) throws -> [Entity] {
        try asked([text, nil], { $0.aggregation = ew_aggregation(rawValue: aggregation.rawValue) })
            .map { Entity(label: $0.label, text: $0.text, score: $0.score, start: $0.start, end: $0.end) }
    }

    /// Tokens for each mask of a text, mask by mask, the best first.
    public func fill(_ text: String, topK: Int = 5) throws -> [Filling] {
        try asked([text, nil], { $0.top_k = Int32(topK) }).map { Filling(token: $0.label, id: $0.id, text: $0.text, score: $0.score, mask: $0.index) }
    }

    /// Parts of a context that answer a question, the best first; with `noAnswer` one may be empty.
    public func answer(_ question: String, context: String, topK: Int = 1, maxTokens: Int = 30, noAnswer: Bool = false) throws -> [Passage] {
        let set: (inout ew_request) -> Void = {
            $0.top_k = Int32(topK)
            $0.max_answer_len = Int32(maxTokens)
            $0.no_answer = noAnswer ? 1 : 0
        }
        return try asked([question, context], set).map { Passage(text: $0.text, score: $0.score, start: $0.start, end: $0.end) }
    }

    /// The vector of a text.
    public func embed(_ text: String) throws -> [Float] {
        var vector: [Float] = []
        _ = try asked([text, nil], { _ in }, vector: { vector = $0 })
        return vector
    }

    /// Texts by how well they answer a query, the best first.
    public func rank(_ query: String, texts: [String]) throws -> [Ranked] {
        try asked([query, nil], { _ in }, choices: texts).map { Ranked(text: $0.text, index: $0.index, score: $0.score) }
    }

    /// Labels of your own by how well they describe a text, the best first.
    public func choose(_ text: String, labels: [String], multiLabel: Bool = false, hypothesis: String? = nil) throws -> [Label] {
        try asked([text, nil, hypothesis], { $0.multi_label = multiLabel ? 1 : 0 }, choices: labels).map { Label(label: $0.label, score: $0.score) }
    }

    /// What a model writes after a prompt, piece by piece; leaving the loop ends it. Settings are those of Python.
    public func stream(_ prompt: String, settings: [String: Any] = [:]) -> AsyncThrowingStream<String, Error> {
        written(prompt, settings) { ew_stream($0, $1, nil, $2, $3, $4, $5) }
    }

    /// The same after messages, where `chats` says that the model takes them.
    public func stream(_ messages: [Message], settings: [String: Any] = [:]) throws -> AsyncThrowingStream<String, Error> {
        written(String(decoding: try JSONEncoder().encode(messages), as: UTF8.self), settings) { ew_stream($0, nil, $1, $2, $3, $4, $5) }
    }

    /// The translation of each sentence of a text as soon as it is there, and the white space between them as it is; leaving the
    /// loop ends it. A text may begin with the language that it wants, `>>es<<`. Settings are `num_beams` (1 to 64),
    /// `length_penalty`, `early_stopping` (`true`, `false`, `"never"`), `max_new_tokens` (of a sentence) and `split` (`false`
    /// takes lines whole); what is not said is the model's own.
    public func translate(_ text: String, settings: [String: Any] = [:]) -> AsyncThrowingStream<String, Error> {
        written(text, settings) { ew_translate($0, $1, $2, $3, $4, $5) }
    }

    /// What came of the last answer or translation that is over.
    public var last: Written? {
        ended.lock()
        defer { ended.unlock() }
        return wrote
    }

    /// A part of a text by characters (code points), as answers count them.
    public static func slice(_ text: String, from start: Int, to end: Int) -> String {
        let all = text.unicodeScalars
        return String(all[all.index(all.startIndex, offsetBy: start)..<all.index(all.startIndex, offsetBy: end)])
    }

    private struct Item { let label: String, text: String, score: Double, id: Int, index: Int, start: Int, end: Int }

    private func asked(
        _ texts: [String?], _ set: (inout ew_request) -> Void, choices: [String] = [], vector: ([Float]) -> Void = { _ in }
    ) throws -> [Item] {
        var answer = ew_answer()
        defer { ew_answer_free(&answer) }
        let code = Edgewright.held(texts + choices) { held -> Int32 in
            let list: [UnsafePointer<CChar>?] = held[texts.count...].map { $0.map { UnsafePointer($0) } }
            return list.withUnsafeBufferPointer { list -> Int32 in
                var request = ew_request()
                (request.text, request.pair) = (UnsafePointer(held[0]), held[1].map { UnsafePointer($0) })
                request.hypothesis = texts.count > 2 ? held[2].map { UnsafePointer($0) } : nil
                (request.choices, request.choice_count) = (list.baseAddress, choices.count)
                set(&request)
                return ew_run(model, &request, &answer)
            }
        }
        if code != 0 {
            throw Failure(code: Int(code), description: withUnsafePointer(to: &answer.why) { String(cString: UnsafeRawPointer($0).assumingMemoryBound(to: CChar.self)) })
        }
        if answer.width > 0 { vector(Array(UnsafeBufferPointer(start: answer.vector, count: answer.width))) }
        return (0..<answer.count).map { at in
            let one = answer.items[at]
            return Item(
                label: String(cString: one.label), text: String(cString: one.text), score: one.score, id: Int(one.id), index: Int(one.index),
                start: Int(one.start), end: Int(one.end))
        }
    }

    private final class Reader {
        let told: (String) -> Bool
        init(_ told: @escaping (String) -> Bool) { self.told = told }
    }

    private typealias Told = @convention(c) (UnsafeMutableRawPointer?, UnsafePointer<CChar>?, Int) -> Int32
    private typealias Text = UnsafePointer<CChar>?
    private typealias Call = (OpaquePointer, Text, Text, Told, UnsafeMutableRawPointer, UnsafeMutablePointer<ew_stats>) -> Int32

    private static let told: Told = { reader, piece, bytes in
        let text = String(decoding: UnsafeRawBufferPointer(start: piece, count: bytes), as: UTF8.self)
        return Unmanaged<Reader>.fromOpaque(reader!).takeUnretainedValue().told(text) ? 0 : 1
    }

    /// The pieces of a call that takes a text and settings, which a thread of its own makes.
    private func written(_ asked: String, _ settings: [String: Any], _ call: @escaping Call) -> AsyncThrowingStream<String, Error> {
        AsyncThrowingStream { pieces in
            let work = Thread { [self] in
                writing.lock()
                defer { writing.unlock() }
                do {
                    guard JSONSerialization.isValidJSONObject(settings) else {
                        throw Failure(code: Int(EW_ARGUMENT), description: "the settings are nothing that JSON has")
                    }
                    let said = String(decoding: try JSONSerialization.data(withJSONObject: settings), as: UTF8.self)
                    let reader = Reader { piece in
                        if case .terminated = pieces.yield(piece) { return false }
                        return true
                    }
                    var stats = ew_stats()
                    let code = Edgewright.held([asked, said]) { held in
                        call(model, held[0], held[1], Edgewright.told, Unmanaged.passUnretained(reader).toOpaque(), &stats)
                    }
                    if code != 0 {
                        let why = withUnsafePointer(to: &stats.why) { String(cString: UnsafeRawPointer($0).assumingMemoryBound(to: CChar.self)) }
                        throw Failure(code: Int(code), description: why)
                    }
                    keep(stats)
                    withExtendedLifetime(reader) { pieces.finish() }
                } catch {
                    pieces.finish(throwing: error)
                }
            }
            work.stackSize = 8 << 20 // a thread of its own has half a megabyte
            work.start()
        }
    }

    /// Before the next call writes over the tokens, and before the loop ends.
    private func keep(_ stats: ew_stats) {
        let tokens = UnsafeBufferPointer(start: stats.ids, count: stats.ids == nil ? 0 : stats.tokens).map { Int($0) }
        ended.lock()
        defer { ended.unlock() }
        wrote = Written(
            tokens: tokens, reason: Written.Reason(rawValue: stats.reason.rawValue) ?? .nothing, promptTokens: stats.prompt_tokens,
            reused: stats.reused, firstSeconds: stats.first_s, prefillSeconds: stats.prefill_s, decodeSeconds: stats.decode_s)
    }

    /// Texts as C has them, for the time of a call.
    private static func held<T>(_ texts: [String?], _ call: ([UnsafeMutablePointer<CChar>?]) throws -> T) rethrows -> T {
        let copies = texts.map { $0.flatMap { strdup($0) } }
        defer { copies.forEach { free($0) } }
        return try call(copies)
    }
}
