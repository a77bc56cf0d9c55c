// swift run sample "a text": what the model of this package answers, writes or translates it to. EW_ENGINE names ONNX Runtime's library on Linux.
import Edgewright
import Foundation

let words = CommandLine.arguments.dropFirst()
let model = try Edgewright.open(engine: ProcessInfo.processInfo.environment["EW_ENGINE"])
for text in words {
    switch model.task {
    case "text-classification": print(try model.classify(text, topK: 2))
    case "token-classification": print(try model.tag(text))
    case "fill-mask": print(try model.fill(text))
    case "feature-extraction": print(try model.embed(text).prefix(4))
    case "text-generation":
        for try await piece in model.stream(text, settings: ["max_new_tokens": 40]) { print(piece, terminator: "") }
        print()
    case "translation":
        for try await sentence in model.translate(text) { print(sentence, terminator: "") }
        print()
    default: print("\(model.task) takes more than a text: see Edgewright.swift")
    }
}
