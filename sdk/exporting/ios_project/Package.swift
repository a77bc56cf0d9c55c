// swift-tools-version:5.9
import PackageDescription

let apple: [Platform] = [.iOS, .macOS]

let package = Package(
    name: "Edgewright",
    platforms: [.iOS(.v15), .macOS(.v14)],
    products: [.library(name: "Edgewright", targets: ["Edgewright"])],
    dependencies: [.package(url: "https://github.com/microsoft/onnxruntime-swift-package-manager", exact: "1.24.2")],
    targets: [
        .target(
            name: "CEdgewright",
            dependencies: [.product(name: "onnxruntime", package: "onnxruntime-swift-package-manager", condition: .when(platforms: apple))],
            cSettings: [.define("EW_LINKED_ENGINE", .when(platforms: apple))] // elsewhere it is loaded
        ),
        .target(name: "Edgewright", dependencies: ["CEdgewright"], resources: [.copy("assets")]),
        .executableTarget(name: "sample", dependencies: ["Edgewright"]),
    ]
)
