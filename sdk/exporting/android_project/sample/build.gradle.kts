plugins {
    id("com.android.application")
    id("org.jetbrains.kotlin.android")
}

android {
    namespace = "edgewright.sample"
    compileSdk = 35
    defaultConfig {
        applicationId = "edgewright.sample"
        minSdk = 24
        targetSdk = 35
        versionCode = 1
        versionName = "1"
    }
    androidResources { noCompress += listOf("onnx", "ort", "tflite", "bin") } // they are mapped where they lie in the archive
    buildTypes { release { isMinifyEnabled = true } }
    compileOptions {
        sourceCompatibility = JavaVersion.VERSION_1_8
        targetCompatibility = JavaVersion.VERSION_1_8
    }
    kotlinOptions { jvmTarget = "1.8" }
}

dependencies { implementation(project(":edgewright")) }
