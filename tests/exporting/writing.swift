// What a program of the Swift package writes and translates, in the forms of writing.c: `swift_writing write ASSETS ENGINE`.
//
// Of an answer that its caller leaves there are the pieces alone: it is over behind the next one, which nobody waits for.
import Edgewright
import Foundation

let closesModel = -2 // of how many pieces are read: a Swift program closes none, it lets the last reference go

struct Requests {
    private let data = FileHandle.standardInput.readDataToEndOfFile()
    private var at = 0

    var more: Bool { at < data.count }

    mutating func number() -> Int {
        at += 4
        return Int(Int32(bitPattern: (0..<4).reduce(0) { $0 | UInt32(data[at - 4 + $1]) << (8 * UInt32($1)) }))
    }

    mutating func text() -> String? {
        let size = number()
        at += size
        let text = String(decoding: data[(at - size)..<at], as: UTF8.self)
        return text == "\u{1}" ? nil : text
    }
}

func put(_ numbers: Int...) {
    for number in numbers { withUnsafeBytes(of: Int32(truncatingIfNeeded: number).littleEndian) { FileHandle.standardOutput.write(Data($0)) } }
}

func put(_ text: String) {
    put(text.utf8.count)
    FileHandle.standardOutput.write(Data(text.utf8))
}

func dictionary(_ text: String?) throws -> [String: Any] {
    try JSONSerialization.jsonObject(with: Data((text ?? "{}").utf8)) as? [String: Any] ?? [:]
}

func stream(_ model: Edgewright, _ prompt: String?, _ messages: String?, _ settings: [String: Any]) throws -> AsyncThrowingStream<String, Error> {
    if model.task == "translation" { return model.translate(prompt ?? "", settings: settings) }
    if let prompt { return model.stream(prompt, settings: settings) }
    return try model.stream(JSONDecoder().decode([Edgewright.Message].self, from: Data(messages!.utf8)), settings: settings)
}

@main
struct Writing {
    static func main() async throws {
        let words = CommandLine.arguments
        let model = try Edgewright(assets: URL(fileURLWithPath: words[2]), engine: words[3])
        var requests = Requests()
        while requests.more {
            let (prompt, messages, settings) = (requests.text(), requests.text(), requests.text())
            let most = requests.number()
            if most == closesModel { exit(3) }
            var pieces: [String] = []
            do {
                for try await piece in try stream(model, prompt, messages, dictionary(settings)) {
                    pieces.append(piece)
                    if pieces.count == most { break }
                }
                let came = pieces.count == most ? nil : model.last
                put(0)
                put("")
                put(Int(came?.reason.rawValue ?? 0), came?.promptTokens ?? 0, came?.reused ?? 0, came?.tokens.count ?? 0)
                came?.tokens.forEach { put($0) }
            } catch let failure as Edgewright.Failure {
                put(failure.code)
                put(failure.description)
                put(0, 0, 0, 0)
            }
            put(pieces.count)
            pieces.forEach { put($0) }
        }
    }
}
